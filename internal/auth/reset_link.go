package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// ResetLink is the link of ForgotPassword's letter for an operator to hand over: it works once, for as long, and
// voids an older one. Errors: ErrUnknownUser, ErrUserDisabled.
func (a *Authority) ResetLink(ctx context.Context, id uuid.UUID) (string, error) {
	user, err := userOf(a.db.WithContext(ctx), id)
	if err == nil && user.DisabledAt != nil {
		err = ErrUserDisabled // while it lasts the link would be refused
	}
	if err != nil {
		return "", fmt.Errorf("reset link: %w", err)
	}
	link, err := a.newResetLink(ctx, id)
	if err != nil {
		return "", fmt.Errorf("reset link: %w", err)
	}
	return link, nil
}
