package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DeleteUser deletes an account and, by the schema's ON DELETE CASCADE, everything that refers to
// it. It returns ErrUnknownUser if there is no such account.
//
// Its tokens are refused from the next request on: they contain the id of a session that no longer
// exists, and that no later account has, not even one with the same email or id. Emails to the user
// that wait in the outbox are not sent, unless the recipient has a new account by then.
func (s *Service) DeleteUser(ctx context.Context, id uuid.UUID) error {
	err := s.db.Transaction(ctx, func(tx *gorm.DB) error {
		var user User
		deleted := tx.Clauses(clause.Returning{}).Where("id = ?", id).Delete(&user)
		if deleted.Error != nil {
			return deleted.Error
		}
		if deleted.RowsAffected == 0 {
			return ErrUnknownUser
		}
		return audit.Record(tx, s.success(audit.DeleteUser, &user, Client{}))
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}
