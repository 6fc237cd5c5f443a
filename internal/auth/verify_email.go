package auth

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// VerifyEmail verifies the email of the user that a token was sent to. It returns ErrInvalidLink,
// ErrIncorrectPassword, *ThrottledError or password.ErrBusy.
//
// It requires the password, too. Otherwise an attacker could register somebody else's email, wait
// until its owner uses the link, and have an account with a verified email of another person. The
// owner does not know that password, and resets it.
func (s *Service) VerifyEmail(ctx context.Context, token, plain string, client Client) (err error) {
	defer func() { s.observe("verify-email", err) }()
	_, user, event, err := s.emailLink(ctx, token, PurposeVerifyEmail, audit.VerifyEmail, client)
	if err != nil {
		return fmt.Errorf("verify email: %w", err)
	}
	reservation, err := s.confirmPassword(ctx, user, plain, event)
	if err != nil {
		return fmt.Errorf("verify email: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if err := verifyEmail(tx, user, token, s.now()); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.VerifyEmail, user, client))
	})
	if err != nil {
		return fmt.Errorf("verify email: %w", err)
	}
	return nil
}

// verifyEmail uses a token to verify the email of its user. It returns ErrInvalidLink if the password
// or the email has changed since the password was checked.
func verifyEmail(tx *gorm.DB, user *User, token string, now time.Time) error {
	used, err := useOneTimeToken(tx, token, PurposeVerifyEmail, now)
	if err != nil {
		return err
	}
	update := tx.Model(&User{}).
		Where("id = ? AND email = ? AND generation = ?", user.ID, user.Email, user.Generation).
		UpdateColumn("email_verified_at", now)
	if update.Error == nil && (!used || update.RowsAffected == 0) {
		return ErrInvalidLink
	}
	return update.Error
}

// emailLink returns a valid token, its user, and the event of an attempt to use it that failed. It
// returns ErrInvalidLink, or *ThrottledError if the network sent too many invalid tokens.
func (s *Service) emailLink(
	ctx context.Context, token string, purpose Purpose, kind audit.Kind, client Client,
) (*OneTimeToken, *User, audit.Event, error) {
	row, user, err := findOneTimeToken(s.db.WithContext(ctx), token, purpose, s.now())
	if err != nil {
		event := s.failure(kind, nil, client)
		return nil, nil, event, s.recordInvalidLink(ctx, event, err)
	}
	return row, user, s.failure(kind, user, client), nil
}
