package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// LogoutEverywhere ends every session of the user of the access token, or every other one. It
// returns ErrInvalidAccessToken if the session has ended meanwhile.
func (s *Service) LogoutEverywhere(ctx context.Context, access *Access, keepCurrent bool, client Client) error {
	user := access.User.ID
	err := s.db.Transaction(ctx, func(tx *gorm.DB) error {
		var ended int64
		ending := liveSessions(tx, s.now()).Where("users.id = ?", user)
		if keepCurrent {
			ending = ending.Where("sessions.id <> ?", access.Session)
		}
		if err := ending.Count(&ended).Error; err != nil {
			return err
		}
		// Also if there is no other session: a login that is in flight must not create one.
		raised := tx.Exec("UPDATE users SET generation = generation + 1 WHERE id = ?", user)
		if raised.Error == nil && raised.RowsAffected == 0 {
			return ErrInvalidAccessToken // the user was deleted meanwhile
		}
		if raised.Error != nil {
			return raised.Error
		}
		if keepCurrent {
			if _, err := moveSession(tx, access.Session, map[string]any{}); err != nil {
				return err
			}
		}
		if ended == 0 {
			return nil // a client can do this again and again
		}
		event := s.success(audit.LogoutEverywhere, access.User, client)
		event.SessionID, event.Detail = access.Session, fmt.Sprintf("sessions: %d", ended)
		return audit.Record(tx, event)
	})
	if err != nil {
		return fmt.Errorf("logout everywhere: %w", err)
	}
	return nil
}
