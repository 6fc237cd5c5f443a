package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/token"
)

// ConfirmEmailChange makes the email that a token was sent to the email of the user. It returns
// ErrInvalidLink, ErrIncorrectPassword, *ThrottledError or password.ErrBusy.
//
// It requires the password for the same reason as VerifyEmail: an attacker can request a change to
// somebody else's email. The old email gets a notice, and, if it was verified, a link to undo the
// change. All other tokens of the user become invalid, because they were sent to the old email, and
// the known networks, which belong to it, are forgotten.
func (s *Service) ConfirmEmailChange(ctx context.Context, token, plain string, client Client) (err error) {
	defer func() { s.observe("confirm-email-change", err) }()
	row, user, event, err := s.emailLink(ctx, token, PurposeConfirmEmailChange, audit.ConfirmEmailChange, client)
	if err != nil {
		return fmt.Errorf("confirm email change: %w", err)
	}
	reservation, err := s.confirmPassword(ctx, user, plain, event)
	if err != nil {
		return fmt.Errorf("confirm email change: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		now := s.now()
		used, err := useOneTimeToken(tx, token, PurposeConfirmEmailChange, now)
		if err == nil && !used {
			err = ErrInvalidLink
		}
		if err != nil {
			return err
		}
		if err := s.replaceEmail(tx, user, row.Email, &now, now); err != nil {
			return err
		}
		changed := *user
		changed.Email = row.Email
		if err := s.rememberNetwork(tx, &changed, client.IP, now); err != nil {
			return err
		}
		notice := emailChangedForGoodEmail
		if user.EmailVerified() {
			notice = emailChangedEmail
			if err := keepPreviousEmail(tx, user, now); err != nil {
				return err
			}
		}
		if err := s.enqueueNotice(tx, notice, user); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.ConfirmEmailChange, &changed, client))
	})
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		err = ErrInvalidLink // the email has an account by now
	}
	if err != nil {
		return fmt.Errorf("confirm email change: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// replaceEmail changes the email of a user, deletes the user's tokens and forgets the known
// networks. It returns ErrInvalidLink if the user has changed meanwhile, or if the new email counts
// as taken, and gorm.ErrDuplicatedKey if it has an account.
//
// It looks for previous emails after the update: a registration or a change that frees the email
// meanwhile has committed then.
func (s *Service) replaceEmail(tx *gorm.DB, user *User, email string, verifiedAt *time.Time, now time.Time) error {
	if err := deleteOneTimeTokens(tx, user.ID); err != nil { // before the user's row is locked, as in a reset
		return err
	}
	update := tx.Model(&User{}).
		Where("id = ? AND email = ? AND generation = ? AND disabled_at IS NULL", user.ID, user.Email, user.Generation).
		Where("(email_verified_at IS NOT NULL) = ?", user.EmailVerified()). // or there would be no way to undo it
		Updates(map[string]any{"email": email, "email_verified_at": verifiedAt, "updated_at": now})
	if update.Error == nil && update.RowsAffected == 0 {
		return ErrInvalidLink
	}
	if update.Error != nil {
		return update.Error
	}
	taken, err := isPreviousEmail(tx, email, user.ID, now)
	if err == nil && taken {
		err = ErrInvalidLink
	}
	if err != nil {
		return err
	}
	_, err = forgetNetworks(tx, user.ID)
	return err
}

// composeEmailChanged makes the link that undoes a change of the email.
func (s *Service) composeEmailChanged(ctx context.Context, entry *mail.Entry) (*mail.Message, error) {
	return s.composeLink(ctx, entry, mail.EmailChanged, PurposeUndoEmailChange, undoLifetime,
		func(tx *gorm.DB) (string, error) {
			text, digest := token.NewOneTime()
			update := tx.Model(&PreviousEmail{}).Where("user_id = ? AND email = ?", entry.UserID, entry.Email).
				Updates(map[string]any{"digest": digest, "expires_at": s.now().Add(undoLifetime)})
			if update.Error == nil && update.RowsAffected == 0 {
				return "", ErrInvalidLink // undone
			}
			return text, update.Error
		})
}
