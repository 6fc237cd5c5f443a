package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// ConfirmTOTP makes the secret of EnrollTOTP the second factor of the user, if code is one of it. It
// returns new recovery codes. Its errors are those of EnrollTOTP, ErrUnknownFactor if there is no
// secret, ErrInvalidCode and *ThrottledError.
//
// The session of the access token has now proved two factors. Others stay as they are.
func (s *Service) ConfirmTOTP(
	ctx context.Context, access *Access, code string, client Client,
) (codes []string, err error) {
	defer func() { s.observe("confirm-totp", err) }()
	user := access.User
	event := s.failure(audit.AddTOTP, user, client)
	confirmed, end, err := s.startFactorChange(ctx, access, event)
	if err != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", err)
	}
	defer func() { end(err) }()
	if confirmed != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", ErrFactorExists)
	}
	enrolled, err := found[TOTPFactor](s.db.WithContext(ctx).Where("user_id = ?", user.ID))
	if err == nil && enrolled == nil {
		err = ErrUnknownFactor // before it counts as a wrong code
	}
	if err != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", err)
	}
	reservation, err := s.reserveCode(ctx, user, event)
	if err != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		if codes, err = s.confirmTOTP(tx, user, code); err != nil {
			return err
		}
		if err := holdGeneration(tx, user); err != nil {
			return err
		}
		if err := raiseSession(tx, access.Session); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		success := s.success(audit.AddTOTP, user, client)
		success.SessionID = access.Session
		return audit.Record(tx, success)
	})
	if errors.Is(err, ErrInvalidCode) {
		event.Detail = "wrong code"
		err = errors.Join(s.record(ctx, event), err)
	}
	if err != nil {
		return nil, fmt.Errorf("confirm TOTP: %w", err)
	}
	s.config.Outbox.Wake()
	return codes, nil
}

// confirmTOTP confirms the secret that enrollTOTP stored, uses up the code, and returns recovery codes.
func (s *Service) confirmTOTP(tx *gorm.DB, user *User, code string) ([]string, error) {
	now := s.now()
	factor, err := found[TOTPFactor](tx.Where("user_id = ?", user.ID))
	switch {
	case err != nil:
		return nil, err
	case factor == nil:
		return nil, ErrUnknownFactor
	case factor.ConfirmedAt != nil:
		return nil, ErrFactorExists
	}
	secret, _, err := s.openTOTP(factor)
	if err != nil {
		return nil, err
	}
	digits, _ := isTOTP(code)
	step, ok := secret.Match(digits, now, 0)
	if !ok {
		return nil, ErrInvalidCode
	}
	update := tx.Model(&TOTPFactor{}).
		Where("user_id = ? AND sealed = ? AND confirmed_at IS NULL", user.ID, factor.Sealed).
		Updates(map[string]any{"confirmed_at": now, "last_step": step, "failures": 0})
	if update.Error == nil && update.RowsAffected == 0 {
		return nil, ErrFactorExists // meanwhile
	}
	if update.Error != nil {
		return nil, update.Error
	}
	codes, err := replaceRecoveryCodes(tx, user.ID, now)
	if err != nil {
		return nil, err
	}
	return codes, s.enqueueNotice(tx, factorAddedEmail, user)
}
