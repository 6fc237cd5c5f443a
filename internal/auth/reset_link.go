package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// ResetLink is the link of ForgotPassword's letter for an operator to hand over: it works once, for as long, and
// voids an older one. Errors: ErrUnknownUser, ErrUserDisabled.
func (a *Authority) ResetLink(ctx context.Context, id uuid.UUID) (link string, err error) {
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		user, err := userOf(tx, id)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil {
			return ErrUserDisabled // while it lasts the link would be refused
		}
		if link, err = a.newResetLink(tx, id); err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.ResetLink, user, nil, Client{}))
	})
	if err != nil {
		return "", fmt.Errorf("reset link: %w", err)
	}
	return link, nil
}
