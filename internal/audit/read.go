package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

const (
	page = 500
	// overlap is how long after its time an event may become visible: transactions end within it.
	overlap = 30 * time.Second
)

// Filter says which events are asked for. The zero value asks for all.
type Filter struct {
	Since  time.Time // this time and later
	UserID uuid.UUID
	Email  string // normalised: of accounts that have or had it, and of what was tried with it
	Kinds  []Kind
}

// Read gives the events of filter to each, the oldest first. What each returns as an error ends it.
func Read(ctx context.Context, db *gorm.DB, filter Filter, each func(Event) error) error {
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

// Follow reads and then looks for newer events every so often until ctx ends, which is no error. Events that
// committed out of order are not missed: each look goes back a little, and what was seen is passed over.
func Follow(ctx context.Context, db *gorm.DB, filter Filter, every time.Duration, each func(Event) error) error {
	ticker := time.NewTicker(every)
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
			return nil // whoever follows ends it so
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
		// Events of a session do not repeat the address; that of an account which is gone is still here.
		query = query.Where("email = ? OR user_id IN (SELECT user_id FROM audit_events WHERE email = ? AND user_id <> ?)", f.Email, f.Email, uuid.Nil)
	}
	if len(f.Kinds) > 0 {
		query = query.Where("kind IN ?", f.Kinds)
	}
	return query
}
