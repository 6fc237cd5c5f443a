package auth

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// FinishRestore makes a database that was restored from a backup safe to use. What was revoked or
// used up after the backup is valid in it again, and nobody knows what that was. So FinishRestore
// deletes all emailed tokens, and all emails that were not sent, and ends all sessions unless
// keepSessions is true. It returns the number of users, and of valid sessions before the call.
//
// These stay, on purpose:
//
//   - The link that undoes a change of the email: if its owner used it after the backup, the
//     account is taken over again, and the owner needs it again.
//   - Used challenges: without them, more would be valid again. Those that were used after the
//     backup are valid for five minutes at most.
//   - Rate limits and known networks: rows that are too old mean nothing, or expire soon.
//
// Passwords, recovery codes, factors and disabled accounts are those of the backup.
func (s *Service) FinishRestore(ctx context.Context, keepSessions bool) (users, sessions int64, err error) {
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		if users, sessions, err = countAccounts(tx, s.now()); err != nil {
			return err
		}
		event := s.success(audit.Restore, nil, Client{})
		event.Detail = "all sessions ended"
		if keepSessions {
			event.Detail = "sessions continue"
		} else if err := tx.Exec("UPDATE users SET generation = generation + 1").Error; err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM one_time_tokens").Error; err != nil {
			return err
		}
		if err := s.config.Outbox.Clear(tx); err != nil {
			return err
		}
		return audit.Record(tx, event)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("finish restore: %w", err)
	}
	return users, sessions, nil
}
