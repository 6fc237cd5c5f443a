package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// The emails of this package.
const (
	resetPasswordEmail   mail.Kind = "reset-password"
	passwordChangedEmail mail.Kind = "password-changed"
)

// ForgotPassword emails a reset link if the email has an account. It returns ErrInvalidEmail, or
// *ThrottledError if the network made too many requests. If the email was recently sent too many
// links, it returns nil and sends none.
//
// It does not look up whether there is an account: it does the same work and adds the same row to
// the outbox for every email. Only the networks that a user has logged in from are known, and have
// limits of their own. The account does not change. Once it returns nil, the request survives a
// crash and an unreachable mail server.
func (s *Service) ForgotPassword(ctx context.Context, typed string, client Client) (err error) {
	defer func() { s.observe("forgot-password", err) }()
	email, err := NormalizeEmail(typed)
	if err != nil {
		return err
	}
	event := s.failure(audit.ForgotPassword, nil, client)
	event.Email = email
	known, err := s.isKnownNetwork(ctx, email, client.IP)
	if err != nil {
		return fmt.Errorf("forgot password: %w", err)
	}
	if !known {
		request, err := s.reserve(ctx, event, throttle.Charge{Limit: resetRequestsPerNetwork}.PerNetwork(client.IP)...)
		if err != nil {
			return fmt.Errorf("forgot password: %w", err)
		}
		request.End()
	}
	sending, err := s.reserve(ctx, event, resetEmailCharges(email, client.IP, known)...)
	if _, ok := errors.AsType[*ThrottledError](err); ok {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forgot password: %w", err)
	}
	sending.End()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		event.Outcome = audit.Success
		if err := audit.Record(tx, event); err != nil {
			return err
		}
		return s.config.Outbox.Enqueue(tx, resetPasswordEmail, email)
	})
	if err != nil {
		return fmt.Errorf("forgot password: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// Emails returns the functions that compose this package's emails when the outbox sends them.
func (s *Service) Emails() map[mail.Kind]mail.Compose {
	return map[mail.Kind]mail.Compose{
		resetPasswordEmail:   s.composeResetPassword,
		passwordChangedEmail: s.composePasswordChanged,
	}
}

// composeResetPassword makes a new link for the user with this email, and the message that contains
// it. The message goes to the stored email, which no request can change.
func (s *Service) composeResetPassword(ctx context.Context, email string) (*mail.Message, error) {
	user, err := s.userByEmail(ctx, email)
	if err != nil || user == nil || user.DisabledAt != nil {
		return nil, err
	}
	var link string
	err = s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		link, err = s.newResetLink(tx, user.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	message, err := mail.ResetPassword(mail.ResetPasswordData{
		To: user.Email, Link: link, ValidFor: s.config.ResetTokenLifetime, Brand: s.config.Brand,
	})
	return &message, err
}

// newResetLink makes a new token for a user, which replaces an older one, and returns the link that
// contains it. The link starts with the configured URL, which no request can change. The token is
// in the fragment, which browsers do not send: it appears in no log and no Referer.
func (s *Service) newResetLink(tx *gorm.DB, user uuid.UUID) (string, error) {
	token, err := newOneTimeToken(tx, user, PurposeResetPassword, s.now(), s.config.ResetTokenLifetime)
	return s.config.ResetURL + "#token=" + token, err
}
