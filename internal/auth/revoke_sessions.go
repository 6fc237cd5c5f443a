package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/database"
)

// RevokeSessions logs a user out everywhere and tells of how many sessions. Errors: ErrUnknownUser.
func (a *Authority) RevokeSessions(ctx context.Context, id uuid.UUID) (sessions int64, err error) {
	users, sessions, err := a.raiseGeneration(ctx, gorm.Expr("users.id = ?", id))
	if err == nil && users == 0 {
		err = fmt.Errorf("revoke sessions: %w", ErrUnknownUser)
	}
	return sessions, err
}

// RevokeAllSessions logs everybody out and tells how many users there are and how many sessions they had.
func (a *Authority) RevokeAllSessions(ctx context.Context) (users, sessions int64, err error) {
	return a.raiseGeneration(ctx, gorm.Expr("TRUE"))
}

// raiseGeneration ends all sessions of some users by one statement. A login that is opening one at this moment
// is not counted, and its session is dead all the same.
func (a *Authority) raiseGeneration(ctx context.Context, of clause.Expression) (users, sessions int64, err error) {
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		if err := liveSessions(tx, now).Where(of).Count(&sessions).Error; err != nil {
			return err
		}
		raise := tx.Model(&User{}).Where(of).Updates(map[string]any{"generation": gorm.Expr("generation + 1")})
		users = raise.RowsAffected
		return raise.Error
	})
	if err != nil {
		return 0, 0, fmt.Errorf("revoke sessions: %w", err)
	}
	return users, sessions, nil
}
