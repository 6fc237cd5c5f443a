package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// purgeBatch is how many rows one statement deletes, so that other writers get their turn in
// between.
const purgeBatch = 1000

// Purge deletes rows that are no longer needed: expired sessions and one-time tokens, networks
// without a recent login, events older than the retention, and rate limits that are not in use. A
// revoked session is kept until it expires.
func (s *Service) Purge(ctx context.Context) error {
	now := s.now()
	rows := func(statement string, until time.Time) func(*gorm.DB) (int64, error) {
		return func(tx *gorm.DB) (int64, error) {
			deletion := tx.Exec(statement, until, purgeBatch)
			return deletion.RowsAffected, deletion.Error
		}
	}
	for _, batch := range []func(*gorm.DB) (int64, error){
		rows(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE idle_expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM one_time_tokens WHERE digest IN (
			SELECT digest FROM one_time_tokens WHERE expires_at <= ? LIMIT ?)`, now),
		rows(`DELETE FROM known_networks WHERE pseudonym IN (
			SELECT pseudonym FROM known_networks WHERE last_seen <= ? LIMIT ?)`, now.Add(-knownFor)),
		func(tx *gorm.DB) (int64, error) {
			return audit.Purge(tx, now.Add(-s.config.AuditRetention), purgeBatch)
		},
		func(tx *gorm.DB) (int64, error) { return s.throttle.Purge(tx, purgeBatch) },
	} {
		for deleted := int64(purgeBatch); deleted == purgeBatch; {
			err := s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
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

// RunPurge purges now and then at the given interval, until ctx is done.
func (s *Service) RunPurge(ctx context.Context, interval time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := s.Purge(ctx); err != nil && ctx.Err() == nil {
			log.Error("could not delete expired rows; the next purge tries again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
