package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// ProfileChange is what UpdateAccount changes.
type ProfileChange struct {
	Name *string  // nil: unchanged
	Bio  **string // nil: unchanged; a pointer to nil: no bio
}

// UpdateAccount changes the name and the bio of a user, and returns the account after the change.
func (s *Service) UpdateAccount(
	ctx context.Context, access *Access, change ProfileChange, client Client,
) (*Account, error) {
	changes := make(map[string]any)
	if change.Name != nil {
		changes["name"] = *change.Name
	}
	if change.Bio != nil {
		changes["bio"] = *change.Bio
	}
	if len(changes) == 0 {
		return s.Account(ctx, access)
	}
	changes["updated_at"] = s.now()
	// A client can change the profile as often as it wants.
	first, err := s.isFirst(ctx, throttle.Charge{
		Limit: repeatedEvents, Subject: string(audit.UpdateAccount) + " " + access.User.ID.String(),
	})
	if err != nil {
		return nil, fmt.Errorf("update account: %w", err)
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&User{}).Where("id = ?", access.User.ID).Updates(changes)
		if update.Error != nil || update.RowsAffected == 0 || !first {
			return update.Error
		}
		return audit.Record(tx, s.success(audit.UpdateAccount, access.User, client))
	})
	if err != nil {
		return nil, fmt.Errorf("update account: %w", err)
	}
	user, err := userByID(s.db.WithContext(ctx), access.User.ID)
	if err != nil {
		return nil, fmt.Errorf("update account: %w", deletedMeanwhile(err))
	}
	return s.Account(ctx, &Access{User: user, Session: access.Session})
}
