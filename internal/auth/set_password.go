package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/password"
)

// SetPassword sets a user's password for an operator, with the same consequences as a reset. A
// disabled user stays disabled. It returns ErrUnknownUser, *WeakPasswordError or password.ErrBusy.
func (s *Service) SetPassword(ctx context.Context, id uuid.UUID, plain string) error {
	user, err := userByID(s.db.WithContext(ctx), id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	accepted, err := s.acceptPassword(plain, user.Name, user.Email)
	if err != nil {
		return err
	}
	hash, err := s.config.Hasher.Hash(ctx, accepted)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		replaced, err := s.replacePassword(tx, user, hash, now, enabledOrDisabled)
		if err == nil && !replaced {
			err = ErrUnknownUser
		}
		if err != nil {
			return err
		}
		return audit.Record(tx, s.success(audit.SetPassword, user, Client{}))
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}

// acceptPassword checks a new password of a user with this name and email against the policy. It
// returns *WeakPasswordError.
func (s *Service) acceptPassword(plain, name, email string) (password.New, error) {
	accepted, err := s.config.Passwords.Accept(plain, name, email, s.config.Brand.Name)
	if err != nil {
		return password.New{}, &WeakPasswordError{Reason: err}
	}
	return accepted, nil
}

// passwordOf says whose password replacePassword replaces.
type passwordOf int

const (
	enabledOnly passwordOf = iota
	enabledOrDisabled
)

// replacePassword replaces a user's password, and reports whether it did. It raises the generation,
// which ends every session and every login that is still hashing the old password. It also deletes
// the user's one-time tokens, forgets the known networks, lifts the limits on guessing passwords
// and codes, also those for the given pairs of email and network, and notifies the user by email.
func (s *Service) replacePassword(
	tx *gorm.DB, user *User, hash string, now time.Time, of passwordOf, pairs ...[]byte,
) (bool, error) {
	if err := deleteOneTimeTokens(tx, user.ID); err != nil { // before the user's row is locked, as in a reset
		return false, err
	}
	if err := clearFailures(tx, user.ID); err != nil { // before the user's row is locked, as in a login
		return false, err
	}
	update := tx.Model(&User{}).Where("id = ? AND email = ?", user.ID, user.Email) // the limits below are the email's
	if of == enabledOnly {
		update = update.Where("disabled_at IS NULL")
	}
	update = update.Updates(map[string]any{
		"password_hash": hash, "generation": gorm.Expr("generation + 1"), "updated_at": now,
	})
	if update.Error != nil || update.RowsAffected == 0 {
		return false, update.Error
	}
	known, err := forgetNetworks(tx, user.ID)
	if err != nil {
		return false, err
	}
	if err := s.clearLimits(tx, user, append(known, pairs...)...); err != nil {
		return false, err
	}
	return true, s.enqueueNotice(tx, passwordChangedEmail, user)
}
