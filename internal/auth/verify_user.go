package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// VerifyUser marks the email of a user as verified, for an operator who vouches for it. It reports
// whether that changed anything, and returns ErrUnknownUser.
func (s *Service) VerifyUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&User{}).Where("id = ? AND email_verified_at IS NULL", id).
			UpdateColumn("email_verified_at", s.now())
		changed, err = s.recordChange(tx, update, id, audit.VerifyUser)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("verify user: %w", err)
	}
	return changed, nil
}

// UnverifyUser marks the email of a user as not verified. The user's sessions continue. It reports
// whether that changed anything, and returns ErrUnknownUser.
func (s *Service) UnverifyUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&User{}).Where("id = ? AND email_verified_at IS NOT NULL", id).
			UpdateColumn("email_verified_at", nil)
		changed, err = s.recordChange(tx, update, id, audit.UnverifyUser)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("unverify user: %w", err)
	}
	return changed, nil
}
