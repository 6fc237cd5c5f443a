package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/secret"
)

// resealPage is how many authenticator apps one query reads.
const resealPage = 500

// resealTOTP encrypts the secrets of authenticator apps again that are sealed under the previous
// secret of the installation, so that it can be removed. It does nothing if there is no previous
// secret.
func (s *Service) resealTOTP(ctx context.Context) error {
	if !s.config.TOTPSealer.Rotating() {
		return nil
	}
	err := eachTOTP(ctx, s.db, database.Gently, func(factor *TOTPFactor) error { return s.resealOne(ctx, factor) })
	if err != nil {
		return fmt.Errorf("reseal TOTP secrets: %w", err)
	}
	return nil
}

// CountOutdatedTOTP returns how many secrets of authenticator apps are sealed under the previous
// secret of the installation. It changes nothing.
func CountOutdatedTOTP(ctx context.Context, db *database.DB, secrets []secret.Secret) (outdated int, err error) {
	sealer := NewTOTPSealer(secrets)
	atOnce := func(_ context.Context, read func() error) error { return read() }
	err = eachTOTP(ctx, db, atOnce, func(factor *TOTPFactor) error {
		_, isOutdated, err := sealer.Open(factor.Sealed, factor.UserID.String())
		if err != nil {
			return fmt.Errorf("the TOTP secret of user %s: %w", factor.UserID, err)
		}
		if isOutdated {
			outdated++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("count TOTP secrets: %w", err)
	}
	return outdated, nil
}

// eachTOTP calls do for every authenticator app. It reads a page at a time; pace runs each query.
func eachTOTP(
	ctx context.Context, db *database.DB, pace func(context.Context, func() error) error, do func(*TOTPFactor) error,
) error {
	for last, read := uuid.Nil, resealPage; read == resealPage; {
		var page []TOTPFactor
		err := pace(ctx, func() error {
			return db.WithContext(ctx).Where("user_id > ?", last).Order("user_id").Limit(resealPage).Find(&page).Error
		})
		if err != nil {
			return err
		}
		for i := range page {
			if err := do(&page[i]); err != nil {
				return err
			}
			last = page[i].UserID
		}
		read = len(page)
	}
	return nil
}

// NewTOTPSealer returns the sealer of the secrets of authenticator apps.
func NewTOTPSealer(secrets []secret.Secret) secret.Sealer {
	return secret.NewSealer(secrets, "totp seal v1")
}

func (s *Service) resealOne(ctx context.Context, factor *TOTPFactor) error {
	secret, outdated, err := s.openTOTP(factor)
	if err != nil || !outdated {
		return err
	}
	return s.writeGently(ctx, func(db *gorm.DB) error {
		return db.Model(&TOTPFactor{}).Where("user_id = ? AND sealed = ?", factor.UserID, factor.Sealed).
			UpdateColumn("sealed", s.sealTOTP(secret, factor.UserID)).Error
	})
}
