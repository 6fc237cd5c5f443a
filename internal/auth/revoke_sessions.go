package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// RevokeSessions logs a user out everywhere. It returns the number of live sessions that it
// revoked, or ErrUnknownUser. A session that a login is just creating is revoked, too, but not
// counted.
func (s *Service) RevokeSessions(ctx context.Context, id uuid.UUID) (sessions int64, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		user, err := userByID(tx, id)
		if err != nil {
			return err
		}
		if err := liveSessions(tx, s.now()).Where("users.id = ?", id).Count(&sessions).Error; err != nil {
			return err
		}
		if err := tx.Exec("UPDATE users SET generation = generation + 1 WHERE id = ?", id).Error; err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.RevokeSessions, user, Client{}))
	})
	if err != nil {
		return 0, fmt.Errorf("revoke sessions: %w", err)
	}
	return sessions, nil
}

// RevokeAllSessions logs every user out. It returns the number of users, and of live sessions that
// it revoked.
func (s *Service) RevokeAllSessions(ctx context.Context) (users, sessions int64, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if err := liveSessions(tx, s.now()).Count(&sessions).Error; err != nil {
			return err
		}
		raised := tx.Exec("UPDATE users SET generation = generation + 1")
		if raised.Error != nil {
			return raised.Error
		}
		users = raised.RowsAffected
		event := s.success(audit.RevokeSessions, nil, Client{})
		event.Detail = "of every user"
		return audit.Record(tx, event)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("revoke all sessions: %w", err)
	}
	return users, sessions, nil
}
