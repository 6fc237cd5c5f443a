package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// RenewRecoveryCodes replaces the recovery codes of a user with a second factor, and returns the new
// ones. It returns ErrEmailNotVerified, *RecentLoginError, *ThrottledError, ErrUnknownFactor, or
// ErrInvalidAccessToken if the session has ended meanwhile.
func (s *Service) RenewRecoveryCodes(
	ctx context.Context, access *Access, client Client,
) (codes []string, err error) {
	defer func() { s.observe("renew-recovery-codes", err) }()
	user := access.User
	factor, end, err := s.startFactorChange(ctx, access, s.failure(audit.RenewRecoveryCodes, user, client))
	if err != nil {
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	defer func() { end(err) }()
	if factor == nil {
		return nil, fmt.Errorf("renew recovery codes: %w", ErrUnknownFactor)
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		// Locked, so that the factor is not removed meanwhile.
		if err := holdSecondFactor(tx, factor); err != nil {
			return err
		}
		if codes, err = replaceRecoveryCodes(tx, user.ID, s.now()); err != nil {
			return err
		}
		if err := holdGeneration(tx, user); err != nil {
			return err
		}
		if err := s.enqueueNotice(tx, recoveryCodesRenewedEmail, user); err != nil {
			return err
		}
		event := s.success(audit.RenewRecoveryCodes, user, client)
		event.SessionID = access.Session
		return audit.Record(tx, event)
	})
	if err != nil {
		return nil, fmt.Errorf("renew recovery codes: %w", err)
	}
	s.config.Outbox.Wake()
	return codes, nil
}

// holdSecondFactor keeps a factor from being removed until the transaction ends. It returns
// ErrUnknownFactor if it was removed meanwhile.
func holdSecondFactor(tx *gorm.DB, factor *TOTPFactor) error {
	update := tx.Model(&TOTPFactor{}).Where("user_id = ? AND confirmed_at IS NOT NULL", factor.UserID).
		UpdateColumn("failures", gorm.Expr("failures"))
	if update.Error == nil && update.RowsAffected == 0 {
		return ErrUnknownFactor
	}
	return update.Error
}
