package auth

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/mail"
)

// The emails of this package.
const (
	resetPasswordEmail        mail.Kind = "reset-password"
	verifyEmailEmail          mail.Kind = "verify-email"
	confirmEmailChangeEmail   mail.Kind = "confirm-email-change"
	emailInUseEmail           mail.Kind = "email-in-use"
	emailChangeRequestedEmail mail.Kind = "email-change-requested"
	emailChangedEmail         mail.Kind = "email-changed"
	emailChangedForGoodEmail  mail.Kind = "email-changed-for-good"
	passwordChangedEmail      mail.Kind = "password-changed"
	newLoginEmail             mail.Kind = "new-login"
	accountDeletedEmail       mail.Kind = "account-deleted"
	factorAddedEmail          mail.Kind = "factor-added"
	factorRemovedEmail        mail.Kind = "factor-removed"
	recoveryCodeUsedEmail     mail.Kind = "recovery-code-used"
	recoveryCodesRenewedEmail mail.Kind = "recovery-codes-renewed"
	wrongCodesEmail           mail.Kind = "wrong-codes"
	passkeyAddedEmail         mail.Kind = "passkey-added"
	passkeyRemovedEmail       mail.Kind = "passkey-removed"
	// noEmail is never sent. It makes a request that sends nothing take as long as one that sends a
	// link.
	noEmail mail.Kind = "none"
)

const (
	// verificationLifetime is how long the links to verify and to change an email are valid.
	verificationLifetime = 24 * time.Hour
	// undoLifetime is how long a change of the email can be undone.
	undoLifetime = 7 * 24 * time.Hour
)

// Emails returns the functions that compose this package's emails when the outbox sends them. Links
// are made then, so that the outbox contains no tokens.
func (s *Service) Emails() map[mail.Kind]mail.Compose {
	return map[mail.Kind]mail.Compose{
		resetPasswordEmail:        s.composeResetPassword,
		verifyEmailEmail:          s.composeVerifyEmail,
		confirmEmailChangeEmail:   s.composeConfirmEmailChange,
		emailInUseEmail:           s.notice(mail.EmailInUse),
		emailChangeRequestedEmail: s.notice(mail.EmailChangeRequested),
		emailChangedEmail:         s.composeEmailChanged,
		emailChangedForGoodEmail:  s.notice(mail.EmailChangedForGood),
		passwordChangedEmail:      s.notice(mail.PasswordChanged),
		newLoginEmail:             s.notice(mail.NewLogin),
		accountDeletedEmail:       s.notice(mail.AccountDeleted),
		factorAddedEmail:          s.notice(mail.FactorAdded),
		factorRemovedEmail:        s.notice(mail.FactorRemoved),
		recoveryCodeUsedEmail:     s.composeRecoveryCodeUsed,
		recoveryCodesRenewedEmail: s.notice(mail.RecoveryCodesRenewed),
		wrongCodesEmail:           s.notice(mail.WrongCodes),
		passkeyAddedEmail:         s.notice(mail.PasskeyAdded),
		passkeyRemovedEmail:       s.notice(mail.PasskeyRemoved),
		noEmail:                   func(context.Context, *mail.Entry) (*mail.Message, error) { return nil, nil },
	}
}

// render is a function of package mail that renders an email.
type render func(mail.Data) (mail.Message, error)

// notice returns a function that composes an email without a one-time token.
func (s *Service) notice(render render) mail.Compose {
	return func(_ context.Context, entry *mail.Entry) (*mail.Message, error) {
		message, err := render(mail.Data{
			To: entry.Email, Link: s.config.LinkURL + "/" + string(PurposeResetPassword), When: entry.CreatedAt,
			Brand: s.config.Brand,
		})
		return &message, err
	}
}

// composeRecoveryCodeUsed composes the email about a recovery code. It says how many are left when
// the email is sent.
func (s *Service) composeRecoveryCodeUsed(ctx context.Context, entry *mail.Entry) (*mail.Message, error) {
	left, err := countRecoveryCodes(s.db.WithContext(ctx), entry.UserID)
	if err != nil {
		return nil, err
	}
	return s.notice(func(data mail.Data) (mail.Message, error) {
		data.CodesLeft = int(left)
		return mail.RecoveryCodeUsed(data)
	})(ctx, entry)
}

// composeLink composes an email with a link, whose token newToken makes in a transaction. If it
// returns ErrInvalidLink, there is nothing to send.
func (s *Service) composeLink(
	ctx context.Context, entry *mail.Entry, render render, purpose Purpose, lifetime time.Duration,
	newToken func(tx *gorm.DB) (string, error),
) (*mail.Message, error) {
	var token string
	err := s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		token, err = newToken(tx)
		return err
	})
	if errors.Is(err, ErrInvalidLink) {
		return nil, nil //nolint:nilnil // nothing to send
	}
	if err != nil {
		return nil, err
	}
	message, err := render(mail.Data{
		To: entry.Email, Link: s.link(purpose, token), ValidFor: lifetime, When: entry.CreatedAt, Brand: s.config.Brand,
	})
	return &message, err
}

// link returns the link that contains a token. It starts with the configured URL, which no request
// can change. The token is in the fragment, which browsers do not send: it appears in no log and no
// Referer.
func (s *Service) link(purpose Purpose, token string) string {
	return s.config.LinkURL + "/" + string(purpose) + "#token=" + token
}

// enqueueNotice stores an email to a user.
func (s *Service) enqueueNotice(tx *gorm.DB, kind mail.Kind, user *User) error {
	return s.config.Outbox.Enqueue(tx, kind, user.Email, user.ID)
}

// enqueueFor stores an email to an email that may have no account.
func (s *Service) enqueueFor(tx *gorm.DB, kind mail.Kind, email string) error {
	return s.config.Outbox.Enqueue(tx, kind, email, uuid.Nil)
}
