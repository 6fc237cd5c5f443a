package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// RemoveTOTP removes the authenticator app of a user, or one that is not confirmed, and the
// recovery codes. It returns ErrEmailNotVerified, *RecentLoginError, *ThrottledError,
// ErrUnknownFactor, or ErrInvalidAccessToken if the session has ended meanwhile.
func (s *Service) RemoveTOTP(ctx context.Context, access *Access, client Client) (err error) {
	defer func() { s.observe("remove-totp", err) }()
	user := access.User
	_, end, err := s.startFactorChange(ctx, access, s.failure(audit.RemoveTOTP, user, client))
	if err != nil {
		return fmt.Errorf("remove TOTP: %w", err)
	}
	defer func() { end(err) }()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		removed, confirmed, err := removeTOTP(tx, tx.Where("user_id = ?", user.ID), user.ID)
		if err == nil && !removed {
			err = ErrUnknownFactor
		}
		if err != nil {
			return err
		}
		if err := holdGeneration(tx, user); err != nil || !confirmed {
			return err
		}
		if err := s.enqueueNotice(tx, factorRemovedEmail, user); err != nil {
			return err
		}
		event := s.success(audit.RemoveTOTP, user, client)
		event.SessionID = access.Session
		return audit.Record(tx, event)
	})
	if err != nil {
		return fmt.Errorf("remove TOTP: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// removeTOTP removes the authenticator app that selected selects, with the recovery codes of its
// user. Sessions that were started with a code continue as if the password had been enough.
func removeTOTP(tx, selected *gorm.DB, user uuid.UUID) (removed, confirmed bool, err error) {
	var factor TOTPFactor
	deleted := selected.Clauses(clause.Returning{}).Delete(&factor)
	if deleted.Error != nil || deleted.RowsAffected == 0 {
		return false, false, deleted.Error
	}
	if factor.ConfirmedAt == nil {
		return true, false, nil
	}
	if err := tx.Where("user_id = ?", user).Delete(&RecoveryCode{}).Error; err != nil {
		return false, false, err
	}
	return true, true, lowerSessions(tx, user)
}
