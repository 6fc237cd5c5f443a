package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// DeleteUser deletes an account and, by the schema's ON DELETE CASCADE, all that refers to it. Its tokens are
// refused from the next call on: they carry the id of a session that is gone, and no later account, of the same
// address or even the same id, has that session. Errors: ErrUnknownUser.
//
// A letter that waits in the outbox for the address is not sent, unless the address has another account by then.
func (a *Authority) DeleteUser(ctx context.Context, id uuid.UUID) error {
	err := database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		deleted := tx.Where("id = ?", id).Delete(&User{})
		if deleted.Error == nil && deleted.RowsAffected == 0 {
			return ErrUnknownUser
		}
		return deleted.Error
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
