package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Account is an account as its owner sees it.
type Account struct {
	User
	PendingEmail *string // that ChangeEmail was called with, until it is confirmed, canceled or expires
}

// Account returns the account of the access token.
func (s *Service) Account(ctx context.Context, access *Access) (*Account, error) {
	pending, err := s.PendingEmail(ctx, access.User.ID)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	return &Account{User: *access.User, PendingEmail: pending}, nil
}

// PendingEmail returns the new email of a user that waits for confirmation, or nil.
func (r *Reader) PendingEmail(ctx context.Context, user uuid.UUID) (*string, error) {
	pending, err := pendingEmail(r.db.WithContext(ctx), user, r.now())
	if err != nil {
		return nil, fmt.Errorf("pending email: %w", err)
	}
	return pending, nil
}

// pendingEmail returns the new email of a user that waits for confirmation, or nil.
func pendingEmail(tx *gorm.DB, user uuid.UUID, now time.Time) (*string, error) {
	var row OneTimeToken
	err := tx.Where("user_id = ? AND purpose = ? AND expires_at > ?", user, PurposeConfirmEmailChange, now).
		Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nil means that there is none
	}
	return &row.Email, err
}
