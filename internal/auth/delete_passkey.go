package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// DeletePasskey removes a passkey of the user of the access token. Sessions that were started with it
// continue, with one factor. It returns ErrEmailNotVerified, *RecentLoginError, *ThrottledError,
// ErrUnknownPasskey, ErrLastPasskey, or ErrInvalidAccessToken if the session has ended meanwhile.
func (s *Service) DeletePasskey(ctx context.Context, access *Access, id string, client Client) (err error) {
	defer func() { s.observe("delete-passkey", err) }()
	user := access.User
	event := s.success(audit.RemovePasskey, user, client)
	event.SessionID = access.Session
	_, end, err := s.startFactorChange(ctx, access, s.failure(audit.RemovePasskey, user, client))
	if err != nil {
		return fmt.Errorf("delete passkey: %w", err)
	}
	defer func() { end(err) }()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if err := lockGeneration(tx, user); err != nil { // so that two of them do not delete the last ones
			return err
		}
		deleted := tx.Where("id = ? AND user_id = ?", passkeyID(id), user.ID).Delete(&Passkey{})
		if deleted.Error == nil && deleted.RowsAffected == 0 {
			return ErrUnknownPasskey
		}
		if deleted.Error != nil {
			return deleted.Error
		}
		if !user.HasPassword() {
			left, err := passkeysOf(tx, user.ID)
			if err == nil && len(left) == 0 {
				err = ErrLastPasskey
			}
			if err != nil {
				return err
			}
		}
		if err := lowerPasskeySessions(tx, user.ID, passkeyID(id)); err != nil {
			return err
		}
		if err := s.enqueueNotice(tx, passkeyRemovedEmail, user); err != nil {
			return err
		}
		return audit.Record(tx, event)
	})
	if err != nil {
		return fmt.Errorf("delete passkey: %w", err)
	}
	s.config.Outbox.Wake()
	return nil
}
