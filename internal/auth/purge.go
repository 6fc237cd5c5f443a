package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// purgeBatch is how many rows one statement deletes, so that other writers wait for milliseconds
// only.
const purgeBatch = 50

const (
	// maxUnused is how far the clock may jump before it seems to be ahead.
	maxUnused = 24 * time.Hour
	// maxSkipped is how many purges in a row are skipped because the clock seems to be ahead.
	maxSkipped = 24
)

// Purge deletes rows that are no longer needed: expired sessions and emailed tokens, networks
// without a recent login, events older than the retention, emails that were given up a week ago,
// used challenges, and rate limits that are not in use. A revoked session is kept until it expires.
// It also encrypts what is sealed under the previous secret again.
//
// It runs next to requests, and takes as long as that needs: see [database.Gently].
func (s *Service) Purge(ctx context.Context) error {
	now := s.now()
	if err := s.purgeSessions(ctx, now); err != nil {
		return fmt.Errorf("purge sessions: %w", err)
	}
	if err := s.resealTOTP(ctx); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	rows := func(table, key, column string, until time.Time) func(*gorm.DB) (int64, error) {
		return func(db *gorm.DB) (int64, error) {
			return database.DeleteUntil(db, table, key, column, until, purgeBatch)
		}
	}
	for _, batch := range []func(*gorm.DB) (int64, error){
		rows("one_time_tokens", "digest", "expires_at", now),
		rows("previous_emails", "digest", "expires_at", now),
		rows("used_challenges", "digest", "expires_at", now.Add(-maxAhead)), // another instance may still accept them
		rows("known_networks", "pseudonym", "last_seen", now.Add(-knownFor)),
		func(db *gorm.DB) (int64, error) {
			return audit.Purge(db, now.Add(-s.config.AuditRetention), purgeBatch)
		},
		func(db *gorm.DB) (int64, error) { return s.config.Outbox.Purge(db, purgeBatch) },
		func(db *gorm.DB) (int64, error) { return s.throttle.Purge(db, purgeBatch) },
	} {
		for deleted := int64(purgeBatch); deleted == purgeBatch; {
			err := s.writeGently(ctx, func(db *gorm.DB) (err error) {
				deleted, err = batch(db)
				return err
			})
			if err != nil {
				return fmt.Errorf("purge: %w", err)
			}
		}
	}
	return nil
}

// purgeSessions reads all sessions, because an index on idle_expires_at would make every refresh
// more expensive. Reading does not keep writers waiting, and the deletions are small. They repeat
// the condition, for sessions that are refreshed meanwhile or lie between the expired ones.
func (s *Service) purgeSessions(ctx context.Context, now time.Time) error {
	expired := func(db *gorm.DB) *gorm.DB {
		return db.Model(&Session{}).Where("expires_at <= ? OR idle_expires_at <= ?", now, now)
	}
	return s.db.Walk(ctx, "sessions", func(after, last uuid.UUID) error {
		var ids []uuid.UUID
		err := database.Gently(ctx, func() error {
			return expired(s.db.WithContext(ctx)).Where("id > ? AND id <= ?", after, last).
				Order("id").Pluck("id", &ids).Error
		})
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(ids, purgeBatch) {
			err := s.writeGently(ctx, func(db *gorm.DB) error {
				inBatch := expired(db).Where("id >= ? AND id <= ?", batch[0], batch[len(batch)-1])
				return inBatch.Delete(&Session{}).Error
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// writeGently runs one statement that changes a few rows, as a part of a purge.
func (s *Service) writeGently(ctx context.Context, statement func(db *gorm.DB) error) error {
	return database.Gently(ctx, func() error {
		if err := s.db.Statement(ctx, statement); err != nil {
			return err
		}
		return s.db.Checkpoint(ctx)
	})
}

// RunPurge purges now and then at the given interval, until ctx is done. lastUsed is the time of
// the newest event before the server started, or zero.
//
// If the clock is wrong, sessions may only seem to have expired. So if it has jumped ahead by more
// than a day, since lastUsed or the previous purge, RunPurge logs warnings and deletes nothing, but
// at most maxSkipped times: perhaps the server was only not used. Newer events do not shorten that,
// because they have the time of the same clock.
func (s *Service) RunPurge(ctx context.Context, lastUsed time.Time, interval time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	s.runPurge(ctx, lastUsed, ticker.C, log)
}

// countStored counts the users and the valid sessions, for metrics.
func (s *Service) countStored(ctx context.Context) error {
	now := s.now()
	users, err := s.countRows(ctx, "users", func(db *gorm.DB) *gorm.DB { return db.Model(&User{}) })
	if err != nil {
		return fmt.Errorf("count users: %w", err)
	}
	sessions, err := s.countRows(ctx, "sessions", func(db *gorm.DB) *gorm.DB {
		// Like liveSessions, but PostgreSQL would sometimes read all users for a join.
		return db.Model(&Session{}).
			Where("sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?", now, now).
			Where(`sessions.generation = (
				SELECT users.generation FROM users WHERE users.id = sessions.user_id AND users.disabled_at IS NULL)`)
	})
	if err != nil {
		return fmt.Errorf("count sessions: %w", err)
	}
	s.config.Observer.Stored(users, sessions)
	return nil
}

// countRows counts the rows of a query on a table, a range at a time.
func (s *Service) countRows(ctx context.Context, table string, rows func(*gorm.DB) *gorm.DB) (total int64, err error) {
	err = s.db.Walk(ctx, table, func(after, last uuid.UUID) error {
		return database.Gently(ctx, func() error {
			var found int64
			query := rows(s.db.WithContext(ctx)).Where(table+".id > ? AND "+table+".id <= ?", after, last)
			err := query.Count(&found).Error
			total += found
			return err
		})
	})
	return total, err
}

func (s *Service) runPurge(ctx context.Context, last time.Time, ticks <-chan time.Time, log *slog.Logger) {
	skip, before := 0, last
	for ctx.Err() == nil {
		now := s.now()
		if !last.IsZero() && now.Sub(last) > maxUnused {
			skip, before = maxSkipped, last
		}
		last = now
		newest, err := audit.Newest(ctx, s.db)
		switch {
		case skip > 0:
			skip--
			log.Warn("the clock is more than a day ahead of the newest event: expired rows are not deleted yet; "+
				"check the clock of this server", "now", now, "newest_event", before.UTC())
		case err != nil:
		default:
			if newest.After(now.Add(maxAhead)) {
				log.Warn("the newest event in the database is in the future: check the clock of this server",
					"now", now, "newest_event", newest.UTC())
			}
			err = s.Purge(ctx)
		}
		err = errors.Join(err, s.countStored(ctx))
		if err != nil && ctx.Err() == nil {
			log.Error("could not delete expired rows, or count the others; the next purge tries again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-ticks:
		}
	}
}
