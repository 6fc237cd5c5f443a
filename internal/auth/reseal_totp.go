package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
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
