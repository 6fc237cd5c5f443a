package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/totp"
)

// EnrollTOTP returns a new secret for an authenticator app, and its otpauth URI. Nothing changes until
// ConfirmTOTP. A newer secret replaces one that is not confirmed. It returns ErrEmailNotVerified,
// *RecentLoginError, ErrFactorExists, or ErrInvalidAccessToken if the session has ended meanwhile.
func (s *Service) EnrollTOTP(
	ctx context.Context, access *Access,
) (secret totp.Secret, uri string, err error) {
	defer func() { s.observe("enroll-totp", err) }()
	user := access.User
	factor, err := s.requireFactorChange(ctx, access)
	if err == nil && factor != nil {
		err = ErrFactorExists
	}
	if err != nil {
		return nil, "", fmt.Errorf("enroll TOTP: %w", err)
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		secret, err = s.enrollTOTP(tx, user)
		if err != nil {
			return err
		}
		return holdGeneration(tx, user)
	})
	if err != nil {
		return nil, "", fmt.Errorf("enroll TOTP: %w", err)
	}
	return secret, s.totpURI(secret, user), nil
}

// enrollTOTP stores a new secret that is not confirmed. It returns ErrFactorExists if the user has a
// confirmed one, also if that was confirmed meanwhile.
func (s *Service) enrollTOTP(tx *gorm.DB, user *User) (totp.Secret, error) {
	secret := totp.NewSecret()
	insert := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "user_id"}},
		Where:     clause.Where{Exprs: []clause.Expression{gorm.Expr("totp_factors.confirmed_at IS NULL")}},
		DoUpdates: clause.AssignmentColumns([]string{"sealed", "created_at", "last_step", "failures"}),
	}).Create(&TOTPFactor{UserID: user.ID, Sealed: s.sealTOTP(secret, user.ID), CreatedAt: s.now()})
	if errors.Is(insert.Error, gorm.ErrForeignKeyViolated) {
		return nil, ErrInvalidAccessToken // the user was deleted meanwhile
	}
	if insert.Error == nil && insert.RowsAffected == 0 {
		return nil, ErrFactorExists
	}
	return secret, insert.Error
}

// totpURI returns the URI for the QR code of a secret.
func (s *Service) totpURI(secret totp.Secret, user *User) string {
	return secret.URI(s.config.Brand.Name, user.Email)
}

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
