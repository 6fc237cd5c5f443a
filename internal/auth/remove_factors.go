package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// RemovedFactors says what was removed from an account.
type RemovedFactors struct {
	TOTP     bool // a confirmed authenticator app, with the recovery codes
	Passkeys int
}

// RemoveFactors removes the authenticator app, the recovery codes and all passkeys of a user, for
// an operator, and notifies the user by email. Sessions continue, with one factor. A user without a
// password can log in after a reset. It returns ErrUnknownUser.
func (s *Service) RemoveFactors(ctx context.Context, id uuid.UUID) (removed RemovedFactors, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		user, err := userByID(tx, id)
		if err != nil {
			return err
		}
		if removed, err = removeFactors(tx, id, time.Time{}); err != nil || removed == (RemovedFactors{}) {
			return err
		}
		if removed.TOTP {
			if err := s.enqueueNotice(tx, factorRemovedEmail, user); err != nil {
				return err
			}
		}
		if removed.Passkeys > 0 {
			if err := s.enqueueNotice(tx, passkeyRemovedEmail, user); err != nil {
				return err
			}
		}
		event := s.success(audit.RemoveFactors, user, Client{})
		event.Detail = fmt.Sprintf("authenticator app: %t, passkeys: %d", removed.TOTP, removed.Passkeys)
		return audit.Record(tx, event)
	})
	if err != nil {
		return RemovedFactors{}, fmt.Errorf("remove factors: %w", err)
	}
	s.config.Outbox.Wake()
	return removed, nil
}

// removeFactors removes what was added to an account at a time or later: the authenticator app,
// recovery codes and passkeys. An authenticator app that is not confirmed is always removed.
func removeFactors(tx *gorm.DB, user uuid.UUID, since time.Time) (removed RemovedFactors, err error) {
	selected := tx.Where("user_id = ? AND (confirmed_at IS NULL OR confirmed_at >= ?)", user, since)
	if _, removed.TOTP, err = removeTOTP(tx, selected, user); err != nil {
		return removed, err
	}
	if err := tx.Where("user_id = ? AND created_at >= ?", user, since).Delete(&RecoveryCode{}).Error; err != nil {
		return removed, err
	}
	var passkeys []Passkey
	err = tx.Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}}}).
		Where("user_id = ? AND created_at >= ?", user, since).Delete(&passkeys).Error
	if err != nil || len(passkeys) == 0 {
		return removed, err
	}
	ids := make([]uuid.UUID, len(passkeys))
	for i := range passkeys {
		ids[i] = passkeys[i].ID
	}
	removed.Passkeys = len(ids)
	return removed, lowerPasskeySessions(tx, user, ids...)
}
