package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/password"
)

// SetPassword sets a user's password on an operator's word, with all that a reset brings. A disabled user stays
// disabled. Errors: ErrUnknownUser, *WeakPasswordError, password.ErrBusy.
func (a *Authority) SetPassword(ctx context.Context, id uuid.UUID, plain string) error {
	user, err := userOf(a.db.WithContext(ctx), id)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	accepted, err := password.Accept(plain, user.Name, user.Email, a.settings.Product)
	if err != nil {
		return &WeakPasswordError{Reason: err}
	}
	hash, err := a.hasher.Hash(ctx, accepted)
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		replaced, err := a.replacePassword(tx, user, gorm.Expr("TRUE"), hash, now)
		if err == nil && !replaced {
			err = ErrUnknownUser
		}
		if err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.SetPassword, user, nil, Client{}))
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	a.outbox.Wake()
	return nil
}

// replacePassword gives a user for whom condition holds another password. The generation goes up, which ends
// every session there is and every login still hashing the old password; one-time tokens, of whatever purpose,
// must not outlive it either; what was guessed about the old one is forgiven; and the owner is told.
func (a *Authority) replacePassword(tx *gorm.DB, user *User, condition clause.Expression, hash string, now time.Time) (bool, error) {
	if err := voidOneTimeTokens(tx, user.ID); err != nil { // before the user's row is locked, as a reset does
		return false, err
	}
	update := tx.Model(&User{}).Where("id = ?", user.ID).Where(condition).Updates(map[string]any{
		"password_hash": hash, "generation": gorm.Expr("generation + 1"), "updated_at": now,
	})
	if update.Error != nil || update.RowsAffected == 0 {
		return false, update.Error
	}
	if err := a.forgive(tx, user.Email); err != nil {
		return false, err
	}
	return true, a.outbox.Enqueue(tx, passwordChangedLetter, user.Email)
}
