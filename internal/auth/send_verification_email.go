package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// SendVerificationEmail emails a link to verify the email, if the email has an account and is not
// verified. Like ForgotPassword, it does the same work for every email. It returns ErrInvalidEmail,
// or *ThrottledError if the network made too many requests.
func (s *Service) SendVerificationEmail(ctx context.Context, typed string, client Client) (err error) {
	defer func() { s.observe("send-verification-email", err) }()
	return s.requestLink(ctx, typed, audit.SendVerificationEmail, verifyEmailEmail, client)
}

// requestLink emails a link that anybody may request, if the email has an account that can use it.
// It returns ErrInvalidEmail, or *ThrottledError if the network made too many requests. If the email
// was recently sent too many links, it returns nil and sends none.
//
// It does not look up whether there is an account: it does the same work and adds the same row to
// the outbox for every email. Only the networks that a user has logged in from are known, and have
// limits of their own. The account does not change. Once it returns nil, the request survives a
// crash and an unreachable mail server.
func (s *Service) requestLink(ctx context.Context, typed string, kind audit.Kind, link mail.Kind, client Client) error {
	email, err := NormalizeEmail(typed)
	if err != nil {
		return err
	}
	event := s.failure(kind, nil, client)
	event.Email = email
	user, err := s.knownUser(ctx, email, client.IP)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	known := user != nil
	if !known {
		request := throttle.Charge{Limit: linkRequestsPerNetwork, Subject: string(link)}
		reservation, err := s.reserve(ctx, event, request.PerNetwork(client.IP)...)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		reservation.End()
	}
	allowed, err := s.reserveLinkEmail(ctx, event, link, email, known)
	if err != nil || !allowed {
		return err
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		event.Outcome = audit.Success
		if err := audit.Record(tx, event); err != nil {
			return err
		}
		return s.enqueueFor(tx, link, email)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	s.config.Outbox.Wake()
	return nil
}

// composeVerifyEmail makes a new link for the user with this email.
func (s *Service) composeVerifyEmail(ctx context.Context, entry *mail.Entry) (*mail.Message, error) {
	user, err := s.userByEmail(ctx, entry.Email)
	if err != nil || user == nil || user.DisabledAt != nil || user.EmailVerified() ||
		s.config.EmailVerification == VerificationOff {
		return nil, err
	}
	return s.composeLink(ctx, entry, mail.VerifyEmail, PurposeVerifyEmail, verificationLifetime,
		func(tx *gorm.DB) (string, error) {
			return newOneTimeToken(tx, user.ID, PurposeVerifyEmail, user.Email, s.now(), verificationLifetime)
		})
}
