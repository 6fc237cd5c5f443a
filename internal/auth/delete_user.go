package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DeleteUser deletes an account and, by the schema's ON DELETE CASCADE, everything that refers to it. It
// returns ErrUnknownUser if there is no such account.
//
// Its tokens are refused from the next request on: they carry the id of a session that is gone. No later
// account has that session, not even one with the same email or id. An email that waits in the outbox is not
// sent, unless its recipient has a new account by then.
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
