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
	for last, read := uuid.Nil, resealPage; read == resealPage; {
		var page []TOTPFactor
		err := database.Gently(ctx, func() error {
			return s.db.WithContext(ctx).Where("user_id > ?", last).Order("user_id").Limit(resealPage).Find(&page).Error
		})
		if err != nil {
			return fmt.Errorf("reseal TOTP secrets: %w", err)
		}
		for i := range page {
			if err := s.resealOne(ctx, &page[i]); err != nil {
				return fmt.Errorf("reseal TOTP secrets: %w", err)
			}
			last = page[i].UserID
		}
		read = len(page)
	}
	return nil
}

// CountOutdatedTOTP returns how many secrets of authenticator apps are sealed under the previous
// secret of the installation. It changes nothing.
func CountOutdatedTOTP(ctx context.Context, db *database.DB, secrets []secret.Secret) (outdated int, err error) {
	sealer := NewTOTPSealer(secrets)
	for last, read := uuid.Nil, resealPage; read == resealPage; {
		var page []TOTPFactor
		err := db.WithContext(ctx).Where("user_id > ?", last).Order("user_id").Limit(resealPage).Find(&page).Error
		if err != nil {
			return 0, fmt.Errorf("read TOTP secrets: %w", err)
		}
		for i := range page {
			_, isOutdated, err := sealer.Open(page[i].Sealed, page[i].UserID.String())
			if err != nil {
				return 0, fmt.Errorf("the TOTP secret of user %s: %w", page[i].UserID, err)
			}
			if isOutdated {
				outdated++
			}
			last = page[i].UserID
		}
		read = len(page)
	}
	return outdated, nil
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
