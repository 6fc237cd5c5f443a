package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

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
		update := tx.Model(&User{}).Where("id = ? AND disabled_at IS NULL", id).
			Updates(map[string]any{"disabled_at": now, "generation": gorm.Expr("generation + 1")})
		if changed, err = changedUser(tx, update, id); !changed || err != nil {
			return err
		}
		return voidOneTimeTokens(tx, id)
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
		changed, err = changedUser(tx, update, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("enable user: %w", err)
	}
	return changed, nil
}

// changedUser tells whether an update found the user in another state, and if it did not, whether there is one.
func changedUser(tx, update *gorm.DB, id uuid.UUID) (bool, error) {
	if update.Error != nil || update.RowsAffected == 1 {
		return update.Error == nil, update.Error
	}
	_, err := userOf(tx, id)
	return false, err
}
