package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// ResetLink returns a reset link for an operator to pass on. Like an emailed link, it works once,
// expires after ResetTokenLifetime, and replaces an older link. Unlike an emailed one, it does not
// verify the email. It returns ErrUnknownUser or
// ErrUserDisabled.
func (s *Service) ResetLink(ctx context.Context, id uuid.UUID) (link string, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		user, err := userByID(tx, id)
		if err != nil {
			return err
		}
		if user.DisabledAt != nil {
			return ErrUserDisabled // the link would be refused
		}
		// Without an email: the operator may pass the link on in any way, so using it proves nothing.
		token, err := newOneTimeToken(tx, id, PurposeResetPassword, "", s.now(), s.config.ResetTokenLifetime)
		if err != nil {
			return err
		}
		link = s.link(PurposeResetPassword, token)
		return audit.Record(tx, s.success(audit.ResetLink, user, Client{}))
	})
	if err != nil {
		return "", fmt.Errorf("reset link: %w", err)
	}
	return link, nil
}
