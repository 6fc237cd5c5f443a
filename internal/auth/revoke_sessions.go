package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// RevokeSessions logs a user out everywhere and tells of how many sessions. Errors: ErrUnknownUser.
func (a *Authority) RevokeSessions(ctx context.Context, id uuid.UUID) (sessions int64, err error) {
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		user, err := userOf(tx, id)
		if err != nil {
			return err
		}
		_, sessions, err = a.raiseGeneration(tx, gorm.Expr("users.id = ?", id), a.success(audit.RevokeSessions, user, nil, Client{}))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("revoke sessions: %w", err)
	}
	return sessions, nil
}

// RevokeAllSessions logs everybody out and tells how many users there are and how many sessions they had.
func (a *Authority) RevokeAllSessions(ctx context.Context) (users, sessions int64, err error) {
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		event := a.success(audit.RevokeSessions, nil, nil, Client{})
		event.Detail = "of every user"
		users, sessions, err = a.raiseGeneration(tx, gorm.Expr("TRUE"), event)
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("revoke all sessions: %w", err)
	}
	return users, sessions, nil
}

// raiseGeneration ends all sessions of some users by one statement. A login that is opening one at this moment
// is not counted, and its session is dead all the same.
func (a *Authority) raiseGeneration(tx *gorm.DB, of clause.Expression, event audit.Event) (users, sessions int64, err error) {
	if err := liveSessions(tx, a.now()).Where(of).Count(&sessions).Error; err != nil {
		return 0, 0, err
	}
	raise := tx.Model(&User{}).Where(of).Updates(map[string]any{"generation": gorm.Expr("generation + 1")})
	if raise.Error != nil {
		return 0, 0, raise.Error
	}
	return raise.RowsAffected, sessions, audit.Record(tx, event)
}
