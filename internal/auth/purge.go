package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// purgeBatch is how many rows one statement deletes, so that others get their turn between two of them.
const purgeBatch = 1000

// Purge deletes what can be of no use any more: sessions past their end and one-time tokens that expired. A
// revoked session stays until its end.
func (a *Authority) Purge(ctx context.Context) error {
	now := a.now()
	for _, statement := range []string{
		`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`,
		`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE idle_expires_at <= ? LIMIT ?)`,
		`DELETE FROM one_time_tokens WHERE digest IN (SELECT digest FROM one_time_tokens WHERE expires_at <= ? LIMIT ?)`,
	} {
		for deleted := int64(purgeBatch); deleted == purgeBatch; {
			err := database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
				batch := tx.Exec(statement, now, purgeBatch)
				deleted = batch.RowsAffected
				return batch.Error
			})
			if err != nil {
				return fmt.Errorf("purge: %w", err)
			}
		}
	}
	return nil
}

// RunPurge purges at once and then every so often, until ctx ends.
func (a *Authority) RunPurge(ctx context.Context, every time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := a.Purge(ctx); err != nil && ctx.Err() == nil {
			log.Error("expired rows could not be deleted; the next purge tries again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
