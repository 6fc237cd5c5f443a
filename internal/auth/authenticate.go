package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// Authenticate is the user who bears the access token. Errors: ErrInvalidAccess.
//
// The token's signature says who it was issued to; whether that still holds is read from the database, user
// and session in one query, so that a logout, a reset or a disabled account is felt at once.
func (a *Authority) Authenticate(ctx context.Context, accessToken string) (*User, error) {
	access, err := a.access.Verify(ctx, accessToken)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidAccess, err)
	}
	now := a.now()
	var user User
	err = a.db.WithContext(ctx).
		Joins("JOIN sessions ON sessions.user_id = users.id AND sessions.generation = users.generation").
		Where("sessions.id = ? AND users.id = ?", access.Session, access.User).
		Where("sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?", now, now).
		Where("users.disabled_at IS NULL").
		Take(&user).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, ErrInvalidAccess
	case err != nil:
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return &user, nil
}
