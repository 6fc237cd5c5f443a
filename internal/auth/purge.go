package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// purgeBatch is how many rows one statement deletes, so that others get their turn between two of them.
const purgeBatch = 1000

// Purge deletes what can be of no use any more: sessions past their end, one-time tokens that expired, networks
// not logged in from for long, events kept for long enough, and budgets of attempts that are whole again. A revoked session stays until its end.
func (a *Authority) Purge(ctx context.Context) error {
	now := a.now()
	rows := func(statement string, until time.Time) func(*gorm.DB) (int64, error) {
		return func(tx *gorm.DB) (int64, error) {
			deletion := tx.Exec(statement, until, purgeBatch)
			return deletion.RowsAffected, deletion.Error
		}
	}
	for _, batch := range []func(*gorm.DB) (int64, error){
		rows(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE idle_expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM one_time_tokens WHERE digest IN (SELECT digest FROM one_time_tokens WHERE expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM known_networks WHERE pseudonym IN (SELECT pseudonym FROM known_networks WHERE last_seen <= ? LIMIT ?)`, now.Add(-knownFor)),
		func(tx *gorm.DB) (int64, error) {
			return audit.Purge(tx, now.Add(-a.settings.AuditRetention), purgeBatch)
		},
		a.purgeLimits,
	} {
		for deleted := int64(purgeBatch); deleted == purgeBatch; {
			err := database.Transaction(ctx, a.db, func(tx *gorm.DB) (err error) {
				deleted, err = batch(tx)
				return err
			})
			if err != nil {
				return fmt.Errorf("purge: %w", err)
			}
		}
	}
	return nil
}

func (a *Authority) purgeLimits(tx *gorm.DB) (int64, error) {
	if a.throttle == nil {
		return 0, nil
	}
	return a.throttle.Purge(tx, purgeBatch)
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
