package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// purgeBatch is how many rows one statement deletes, so that other writers get their turn in
// between.
const purgeBatch = 1000

const (
	// maxUnused is how far the clock may jump before it seems to be ahead.
	maxUnused = 24 * time.Hour
	// maxSkipped is how many purges in a row are skipped because the clock seems to be ahead.
	maxSkipped = 24
)

// Purge deletes rows that are no longer needed: expired sessions and emailed tokens, networks
// without a recent login, events older than the retention, emails that were given up a week ago,
// and rate limits that are not in use. A revoked session is kept until it expires.
func (s *Service) Purge(ctx context.Context) error {
	now := s.now()
	rows := func(table, key, column string, until time.Time) func(*gorm.DB) (int64, error) {
		return func(tx *gorm.DB) (int64, error) {
			return database.DeleteUntil(tx, table, key, column, until, purgeBatch)
		}
	}
	for _, batch := range []func(*gorm.DB) (int64, error){
		rows("sessions", "id", "expires_at", now),
		rows("sessions", "id", "idle_expires_at", now),
		rows("one_time_tokens", "digest", "expires_at", now),
		rows("previous_emails", "digest", "expires_at", now),
		rows("known_networks", "pseudonym", "last_seen", now.Add(-knownFor)),
		func(tx *gorm.DB) (int64, error) {
			return audit.Purge(tx, now.Add(-s.config.AuditRetention), purgeBatch)
		},
		func(tx *gorm.DB) (int64, error) { return s.config.Outbox.Purge(tx, purgeBatch) },
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

// countStored counts the users and the valid sessions, for metrics. On a large database that takes
// too long to do it more often than purging.
func (s *Service) countStored(ctx context.Context) error {
	var users, sessions int64
	db := s.db.WithContext(ctx)
	if err := db.Model(&User{}).Count(&users).Error; err != nil {
		return fmt.Errorf("count users: %w", err)
	}
	if err := liveSessions(db, s.now()).Count(&sessions).Error; err != nil {
		return fmt.Errorf("count sessions: %w", err)
	}
	s.config.Observer.Stored(users, sessions)
	return nil
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
