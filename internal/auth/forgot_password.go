package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// The letters of this package.
const (
	resetLetter           mail.Kind = "reset-password"
	passwordChangedLetter mail.Kind = "password-changed"
)

// ForgotPassword mails a reset link to the address, if it has an account. Errors: ErrAddress,
// *ThrottledError, for the network alone. An address that was mailed enough lately is mailed no more, silently.
//
// Whether it has one is not looked up here: every address leaves the same row in the outbox and gets the
// same answer after the same work. Nothing on the account changes. Once nil is returned, the request
// survives a crash and a mail server that is down.
func (a *Authority) ForgotPassword(ctx context.Context, address string, client Client) error {
	email, err := NormalizeAddress(address)
	if err != nil {
		return err
	}
	attempt := a.attempt(audit.ForgotPassword, nil, client)
	attempt.Email = email
	asking, err := a.reserve(ctx, attempt, throttle.Charge{Limit: resetsOfNetwork, Subject: throttle.Network(client.Address)})
	if err != nil {
		return fmt.Errorf("forgot password: %w", err)
	}
	asking.End()
	mailing, err := a.reserve(ctx, attempt, throttle.Charge{Limit: resetsOfAddress, Subject: email}, throttle.Charge{Limit: dailyResetsOfAddress, Subject: email})
	var mailed *ThrottledError
	switch {
	case errors.As(err, &mailed):
		return nil
	case err != nil:
		return fmt.Errorf("forgot password: %w", err)
	}
	mailing.End()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		attempt.Outcome = audit.Success
		if err := audit.Record(tx, attempt); err != nil {
			return err
		}
		return a.outbox.Enqueue(tx, resetLetter, email)
	})
	if err != nil {
		return fmt.Errorf("forgot password: %w", err)
	}
	a.outbox.Wake()
	return nil
}

// Letters composes this package's letters when the outbox sends them.
func (a *Authority) Letters() map[mail.Kind]mail.Compose {
	return map[mail.Kind]mail.Compose{
		resetLetter:           a.composeReset,
		passwordChangedLetter: a.composePasswordChanged,
	}
}

// composeReset makes a fresh link for the address's user and the letter that carries it. The letter goes to the
// stored address: no request can bend it.
func (a *Authority) composeReset(ctx context.Context, address string) (*mail.Message, error) {
	user, err := a.findUser(ctx, address)
	if err != nil || user == nil || user.DisabledAt != nil {
		return nil, err
	}
	var link string
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) (err error) {
		link, err = a.newResetLink(tx, user.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	letter, err := mail.ResetPassword(mail.ResetPasswordData{
		To: user.Email, Name: user.Name, Link: link, ValidFor: a.settings.ResetTokenLifetime, Product: a.settings.Product,
	})
	return &letter, err
}

// newResetLink makes a fresh token for a user, which voids an older one, and the link that carries it. The link
// begins with the configured URL: no request can bend it. The token stands behind a #, which browsers keep to
// themselves: it reaches no log and no Referer.
func (a *Authority) newResetLink(tx *gorm.DB, user uuid.UUID) (string, error) {
	token, err := newOneTimeToken(tx, user, PurposeResetPassword, a.now(), a.settings.ResetTokenLifetime)
	return a.settings.ResetURL + "#token=" + token, err
}
