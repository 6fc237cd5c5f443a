package auth

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DeleteUser deletes an account for an operator: the account and, by the schema's ON DELETE CASCADE,
// everything that refers to it, the emails to the user that wait in the outbox, and what the audit
// log says about the person. It returns ErrUnknownUser if there is no such account.
//
// Its tokens are refused from the next request on: they contain the id of a session that no longer
// exists, and that no later account has, not even one with the same email or id.
func (s *Service) DeleteUser(ctx context.Context, id uuid.UUID) error {
	err := s.db.Transaction(ctx, func(tx *gorm.DB) error {
		_, err := s.deleteUser(tx, tx.Where("id = ?", id), s.success(audit.DeleteUser, nil, Client{}))
		return err
	})
	if err != nil {
		return fmt.Errorf("delete user: %w", err)
	}
	return nil
}

// deleteUser deletes the user that selected selects, and records the event. It returns
// ErrUnknownUser if there is none.
//
// It forgets the events after it has deleted the user: deleting waits for transactions that hold the
// user, and their events are then visible. Later events contain nothing: see record.
func (s *Service) deleteUser(tx, selected *gorm.DB, event audit.Event) (*User, error) {
	var user User
	deleted := selected.Clauses(clause.Returning{}).Delete(&user)
	if deleted.Error != nil {
		return nil, deleted.Error
	}
	if deleted.RowsAffected == 0 {
		return nil, ErrUnknownUser
	}
	if err := s.config.Outbox.Forget(tx, user.ID, user.Email); err != nil {
		return nil, err
	}
	event.UserID = user.ID
	if err := audit.Record(tx, event); err != nil {
		return nil, err
	}
	return &user, audit.Forget(tx, user.ID, user.Email)
}
