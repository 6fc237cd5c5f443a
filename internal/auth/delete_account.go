package auth

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DeleteAccount deletes the account of the access token, like DeleteUser, and says so by email. It
// returns ErrIncorrectPassword, *ThrottledError, password.ErrBusy, or ErrInvalidAccessToken if the
// password was changed or the account deleted meanwhile.
func (s *Service) DeleteAccount(ctx context.Context, access *Access, plain string, client Client) (err error) {
	defer func() { s.observe("delete-account", err) }()
	user := access.User
	event := s.failure(audit.DeleteAccount, user, client)
	reservation, err := s.confirmIdentity(ctx, access, plain, event)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	defer func() { s.settle(ctx, reservation, err) }()
	notify, err := s.allowsNotice(ctx, event, accountDeletedEmail, user.Email)
	if err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		deleted, err := s.deleteUser(tx, tx.Where("id = ? AND generation = ?", user.ID, user.Generation),
			s.success(audit.DeleteAccount, user, client))
		if err != nil {
			return err
		}
		if err := reservation.Refund(tx); err != nil || !notify {
			return err
		}
		return s.enqueueFor(tx, accountDeletedEmail, deleted.Email)
	})
	if err != nil {
		return fmt.Errorf("delete account: %w", deletedMeanwhile(err))
	}
	s.config.Outbox.Wake()
	return nil
}

// deletedMeanwhile turns ErrUnknownUser into ErrInvalidAccessToken, for the user of an access
// token.
func deletedMeanwhile(err error) error {
	if errors.Is(err, ErrUnknownUser) {
		return ErrInvalidAccessToken
	}
	return err
}
