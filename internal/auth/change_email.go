package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// ChangeEmail emails a link to the new email, and a notice to the current one. Nothing changes
// until ConfirmEmailChange. It returns ErrInvalidEmail, ErrSameEmail, ErrIncorrectPassword,
// *ThrottledError or password.ErrBusy.
//
// It does the same for an email that has an account; only when the link would be sent, the owner of
// that account gets a notice instead.
func (s *Service) ChangeEmail(ctx context.Context, access *Access, typed, plain string, client Client) (err error) {
	defer func() { s.observe("change-email", err) }()
	email, err := NormalizeEmail(typed)
	if err != nil {
		return err
	}
	user := access.User
	if email == user.Email {
		return ErrSameEmail
	}
	event := s.failure(audit.ChangeEmail, user, client)
	reservation, err := s.confirmIdentity(ctx, access, plain, event)
	if err != nil {
		return fmt.Errorf("change email: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	charges := append(linkEmailCharges(confirmEmailChangeEmail, email, client.IP, false),
		throttle.Charge{Limit: emailChangesPerAccount, Subject: user.ID.String()})
	sending, err := s.reserve(ctx, event, charges...)
	if err != nil {
		return fmt.Errorf("change email: %w", err)
	}
	sending.End()
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		// Nobody knows this token. The row is the pending change; the email makes a token for it.
		_, err := newOneTimeToken(tx, user.ID, PurposeConfirmEmailChange, email, now, verificationLifetime)
		if errors.Is(err, gorm.ErrForeignKeyViolated) {
			return ErrInvalidAccessToken // the user was deleted meanwhile
		}
		if err == nil {
			err = holdGeneration(tx, user)
		}
		if err != nil {
			return err
		}
		if err := s.config.Outbox.Enqueue(tx, confirmEmailChangeEmail, email, user.ID); err != nil {
			return err
		}
		if err := s.enqueueNotice(tx, emailChangeRequestedEmail, user); err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.ChangeEmail, user, client))
	})
	if err != nil {
		return fmt.Errorf("change email: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// composeConfirmEmailChange makes the link for a pending change of the email. If the email has an
// account by now, its owner gets a notice.
func (s *Service) composeConfirmEmailChange(ctx context.Context, entry *mail.Entry) (*mail.Message, error) {
	pending, err := pendingEmail(s.db.WithContext(ctx), entry.UserID, s.now())
	if err != nil || pending == nil || *pending != entry.Email {
		return nil, err // canceled, confirmed, or replaced by a newer one
	}
	owner, err := s.userByEmail(ctx, entry.Email)
	if err != nil {
		return nil, err
	}
	if owner != nil {
		return s.notice(mail.EmailInUse)(ctx, entry)
	}
	return s.composeLink(ctx, entry, mail.ConfirmEmailChange, PurposeConfirmEmailChange, verificationLifetime,
		func(tx *gorm.DB) (string, error) {
			now := s.now()
			if taken, err := isPreviousEmail(tx, entry.Email, entry.UserID, now); err != nil || taken {
				return "", errors.Join(ErrInvalidLink, err)
			}
			text, digest := token.NewOneTime()
			update := tx.Model(&OneTimeToken{}).
				Where("user_id = ? AND purpose = ? AND email = ?", entry.UserID, PurposeConfirmEmailChange, entry.Email).
				Where("expires_at > ? AND user_id IN (SELECT id FROM users WHERE disabled_at IS NULL)", now).
				Updates(map[string]any{"digest": digest, "expires_at": now.Add(verificationLifetime), "created_at": now})
			if update.Error == nil && update.RowsAffected == 0 {
				return "", ErrInvalidLink // canceled or replaced just now
			}
			return text, update.Error
		})
}

// holdGeneration keeps the password and the email of a user from changing until the transaction
// ends. It returns ErrInvalidAccessToken if they have changed already.
func holdGeneration(tx *gorm.DB, user *User) error { return lockUnchanged(tx, user, "SHARE") }

// lockGeneration is like holdGeneration, and waits for other transactions that called it.
func lockGeneration(tx *gorm.DB, user *User) error { return lockUnchanged(tx, user, "NO KEY UPDATE") }

func lockUnchanged(tx *gorm.DB, user *User, strength string) error {
	var ids []uuid.UUID
	err := tx.Model(&User{}).Clauses(clause.Locking{Strength: strength}).
		Where("id = ? AND email = ? AND generation = ?", user.ID, user.Email, user.Generation).Pluck("id", &ids).Error
	if err == nil && len(ids) == 0 {
		return ErrInvalidAccessToken
	}
	return err
}
