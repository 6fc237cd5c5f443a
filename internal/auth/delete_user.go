package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// DeleteUser deletes an account and, by the schema's ON DELETE CASCADE, all that refers to it. Its tokens are
// refused from the next call on: they carry the id of a session that is gone, and no later account, of the same
// address or even the same id, has that session. Errors: ErrUnknownUser.
//
// A letter that waits in the outbox for the address is not sent, unless the address has another account by then.
func (a *Authority) DeleteUser(ctx context.Context, id uuid.UUID) error {
	err := database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		var user User
		deleted := tx.Clauses(clause.Returning{}).Where("id = ?", id).Delete(&user)
		if deleted.Error != nil {
			return deleted.Error
		}
		if deleted.RowsAffected == 0 {
			return ErrUnknownUser
		}
		return audit.Record(tx, a.success(audit.DeleteUser, &user, nil, Client{}))
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
