package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// CancelEmailChange makes the link of ChangeEmail invalid. It is idempotent.
func (s *Service) CancelEmailChange(ctx context.Context, access *Access, client Client) error {
	err := s.db.Transaction(ctx, func(tx *gorm.DB) error {
		deleted := tx.Where("user_id = ? AND purpose = ?", access.User.ID, PurposeConfirmEmailChange).Delete(&OneTimeToken{})
		if deleted.Error != nil || deleted.RowsAffected == 0 {
			return deleted.Error
		}
		return audit.Record(tx, s.success(audit.CancelEmailChange, access.User, client))
	})
	if err != nil {
		return fmt.Errorf("cancel email change: %w", err)
	}
	return nil
}
