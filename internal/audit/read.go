package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

const (
	page = 500
	// overlap is how long after its time an event may be committed. Transactions are shorter than
	// that.
	overlap = 30 * time.Second
)

// Filter selects events. The zero value selects all.
type Filter struct {
	Since  time.Time // inclusive
	UserID uuid.UUID
	Email  string // normalized; selects events with it, and all events of accounts that have or had it
	Kinds  []Kind
}

// Read calls each for the selected events, the oldest first. It stops if each returns an error, and
// returns that error.
func Read(ctx context.Context, db *database.DB, filter Filter, each func(Event) error) error {
	after := Event{At: filter.Since}
	for {
		var events []Event
		query := filter.narrow(db.WithContext(ctx)).
			Where("at > ? OR at = ? AND id > ?", after.At.UTC(), after.At.UTC(), after.ID).
			Order("at, id").Limit(page)
		if err := query.Find(&events).Error; err != nil {
			return fmt.Errorf("read audit: %w", err)
		}
		for _, event := range events {
			if err := each(event); err != nil {
				return err
			}
		}
		if len(events) < page {
			return nil
		}
		after = events[len(events)-1]
	}
}

// Follow calls each for the selected events like Read, and then for newer events, until ctx is
// done. Then it returns nil. It polls the database at the given interval. It does not miss events
// that were committed out of order: each query overlaps the one before, and events that were seen
// are skipped.
func Follow(
	ctx context.Context, db *database.DB, filter Filter, interval time.Duration, each func(Event) error,
) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	seen := make(map[uuid.UUID]time.Time)
	for {
		newest := filter.Since
		err := Read(ctx, db, filter, func(event Event) error {
			if _, known := seen[event.ID]; known {
				return nil
			}
			seen[event.ID] = event.At
			if event.At.After(newest) {
				newest = event.At
			}
			return each(event)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if since := newest.Add(-overlap); since.After(filter.Since) {
			filter.Since = since
		}
		for id, at := range seen {
			if at.Before(filter.Since) {
				delete(seen, id)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (f Filter) narrow(query *gorm.DB) *gorm.DB {
	if f.UserID != uuid.Nil {
		query = query.Where("user_id = ?", f.UserID)
	}
	if f.Email != "" {
		// Some events of an account have only its id. The log itself maps emails to ids, as the account
		// may be deleted.
		query = query.Where(`email = ? OR user_id IN (
			SELECT user_id FROM audit_events WHERE email = ? AND user_id <> ?)`, f.Email, f.Email, uuid.Nil)
	}
	if len(f.Kinds) > 0 {
		query = query.Where("kind IN ?", f.Kinds)
	}
	return query
}
