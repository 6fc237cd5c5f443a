package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// RevokeSession ends a session of the user of the access token. It returns ErrUnknownSession if id
// is malformed, unknown, or the id of a session that has ended or belongs to somebody else.
func (s *Service) RevokeSession(ctx context.Context, access *Access, id string, client Client) error {
	session, err := uuid.Parse(id)
	if err != nil || session.String() != id {
		return ErrUnknownSession
	}
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		var live int64
		err := liveSessions(tx, now).Where("sessions.id = ? AND users.id = ?", session, access.User.ID).Count(&live).Error
		if err == nil && live == 0 {
			err = ErrUnknownSession
		}
		if err != nil {
			return err
		}
		revoked, err := revokeSession(tx, session, RevokedByUser, now)
		if err != nil || revoked == nil {
			return err
		}
		return audit.Record(tx, ofSession(s.success(audit.RevokeSession, access.User, client), revoked))
	})
	if err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	return nil
}
