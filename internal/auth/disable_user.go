package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// DisableUser shuts a user out until EnableUser. Its result is whether that changed anything. Errors:
// ErrUnknownUser.
//
// One statement marks the user and raises the generation. The mark refuses the user from then on; the
// generation ends every session for good, the one that a login is opening at this moment among them, so that
// none comes back when the user does. Reset links mailed before do not come back either.
func (a *Authority) DisableUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		if err := voidOneTimeTokens(tx, id); err != nil { // before the user's row is locked, as a reset does
			return err
		}
		update := tx.Model(&User{}).Where("id = ? AND disabled_at IS NULL", id).
			Updates(map[string]any{"disabled_at": now, "generation": gorm.Expr("generation + 1")})
		var user *User
		if user, changed, err = changedUser(tx, update, id); !changed || err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.DisableUser, user, nil, Client{}))
	})
	if err != nil {
		return false, fmt.Errorf("disable user: %w", err)
	}
	return changed, nil
}

// EnableUser lets a disabled user log in again. Its result is whether that changed anything. Errors:
// ErrUnknownUser.
func (a *Authority) EnableUser(ctx context.Context, id uuid.UUID) (changed bool, err error) {
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		update := tx.Model(&User{}).Where("id = ? AND disabled_at IS NOT NULL", id).Updates(map[string]any{"disabled_at": nil})
		var user *User
		if user, changed, err = changedUser(tx, update, id); !changed || err != nil {
			return err
		}
		return audit.Record(tx, a.success(audit.EnableUser, user, nil, Client{}))
	})
	if err != nil {
		return false, fmt.Errorf("enable user: %w", err)
	}
	return changed, nil
}

// changedUser is the user, and whether an update found them in another state. Errors: ErrUnknownUser.
func changedUser(tx, update *gorm.DB, id uuid.UUID) (*User, bool, error) {
	if update.Error != nil {
		return nil, false, update.Error
	}
	user, err := userOf(tx, id)
	return user, update.RowsAffected == 1, err
}
