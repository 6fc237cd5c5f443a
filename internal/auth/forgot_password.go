package auth

import (
	"context"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
)

// ForgotPassword emails a reset link if the email has an account; see requestLink. It returns
// ErrInvalidEmail, or *ThrottledError if the network made too many requests.
func (s *Service) ForgotPassword(ctx context.Context, typed string, client Client) (err error) {
	defer func() { s.observe("forgot-password", err) }()
	return s.requestLink(ctx, typed, audit.ForgotPassword, resetPasswordEmail, client)
}

// composeResetPassword makes a new link for the user with this email, and the message that contains
// it. The message goes to the stored email, which no request can change.
func (s *Service) composeResetPassword(ctx context.Context, entry *mail.Entry) (*mail.Message, error) {
	user, err := s.userByEmail(ctx, entry.Email)
	if err != nil || user == nil || user.DisabledAt != nil {
		return nil, err
	}
	lifetime := s.config.ResetTokenLifetime
	return s.composeLink(ctx, entry, mail.ResetPassword, PurposeResetPassword, lifetime,
		func(tx *gorm.DB) (string, error) {
			return newOneTimeToken(tx, user.ID, PurposeResetPassword, user.Email, s.now(), lifetime)
		})
}
