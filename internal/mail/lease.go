package mail

import (
	"context"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

const (
	lease      = 5 * time.Second         // without a heartbeat, after which another worker sends the email
	renewEvery = 1500 * time.Millisecond // a heartbeat, which takes no longer than that
	removeWait = time.Second             // much less than a lease
	batch      = 100                     // entries that are read at once
)

// sighting is when a lease, with this heartbeat, was first seen.
type sighting struct {
	lease     string
	heartbeat time.Time
	at        time.Time
}

// due returns entries that can be claimed: those that another instance has abandoned, and those
// whose time has come, the oldest first.
func (o *Outbox) due(ctx context.Context) ([]Entry, error) {
	abandoned, err := o.abandoned(ctx)
	if err != nil {
		return nil, err
	}
	now := o.now()
	waiting, err := o.waiting(ctx, "due_at", batch, func(db *gorm.DB) *gorm.DB {
		// An entry due later than any retry was stored while a clock was ahead; it is due now.
		return db.Where("due_at <= ? OR due_at > ?", now, now.Add(maxWait))
	})
	return append(abandoned, waiting...), err
}

// leastTried returns the entry that was tried least often, whether it is due or not, if there is
// one.
func (o *Outbox) leastTried(ctx context.Context) ([]Entry, error) {
	return o.waiting(ctx, "attempts, due_at", 1, func(db *gorm.DB) *gorm.DB { return db })
}

// waiting returns entries that are neither being sent nor given up.
func (o *Outbox) waiting(
	ctx context.Context, order string, limit int, narrow func(*gorm.DB) *gorm.DB,
) (entries []Entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	query := narrow(o.db.WithContext(ctx)).Where("lease IS NULL AND dead_at IS NULL")
	return entries, query.Order(order).Limit(limit).Find(&entries).Error
}

// abandoned returns entries whose sender seems to have died.
//
// Clocks of instances differ, so a lease contains no time at which it ends. An instance that sees
// the same heartbeat for the duration of a lease, on its own clock, may claim the entry.
func (o *Outbox) abandoned(ctx context.Context) (entries []Entry, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var leased []Entry
	if err := o.db.WithContext(ctx).Where("lease IS NOT NULL").Find(&leased).Error; err != nil {
		return nil, err
	}
	seen := make(map[string]sighting)
	for _, entry := range leased {
		now := sighting{lease: *entry.Lease, heartbeat: entry.DueAt, at: o.clock()}
		before, known := o.seen[entry.ID]
		if !known || before.lease != now.lease || !before.heartbeat.Equal(now.heartbeat) {
			before = now
		}
		seen[entry.ID] = before
		if now.at.Sub(before.at) >= lease {
			entries = append(entries, entry)
		}
	}
	o.seen = seen
	return entries, nil
}

// claim takes the lease of an entry, if nobody has changed it since it was read: a claim changes
// attempts, and a heartbeat or a retry due_at. Of several workers that try at the same time, one
// succeeds.
func (o *Outbox) claim(ctx context.Context, entry *Entry) (claimed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	id, now := uuid.NewString(), o.now()
	err = o.db.Statement(ctx, func(db *gorm.DB) error {
		update := db.Model(&Entry{}).
			Where("id = ? AND dead_at IS NULL AND attempts = ? AND due_at = ?", entry.ID, entry.Attempts, entry.DueAt).
			Updates(map[string]any{"lease": id, "due_at": now, "attempts": entry.Attempts + 1})
		claimed = update.RowsAffected == 1
		return update.Error
	})
	entry.Lease, entry.DueAt, entry.Attempts = &id, now, entry.Attempts+1
	return claimed, err
}

// hold renews the lease of an entry until stop is called. The returned context ends if the lease is
// lost, or could not be renewed in time: then another worker may send the email.
func (o *Outbox) hold(ctx context.Context, entry *Entry) (_ context.Context, stop func()) {
	held, cancel := context.WithCancel(ctx)
	const safe = lease - renewEvery // others may have seen the heartbeat before its statement returned
	expiry := time.AfterFunc(safe, cancel)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-ticker.C:
			}
			renewed, err := o.renew(held, entry)
			switch {
			case err != nil: // tries again
			case renewed:
				expiry.Reset(safe)
			default:
				cancel()
			}
		}
	}()
	return held, func() { cancel(); expiry.Stop(); <-ended }
}

// renew is a heartbeat. It reports whether the lease was still there.
func (o *Outbox) renew(ctx context.Context, entry *Entry) (renewed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, renewEvery)
	defer cancel()
	err = o.db.Statement(ctx, func(db *gorm.DB) error {
		update := db.Model(&Entry{}).Where("id = ? AND lease = ?", entry.ID, entry.Lease).
			Updates(map[string]any{"due_at": o.now()})
		renewed = update.RowsAffected == 1
		return update.Error
	})
	return renewed, err
}

// release ends the lease of an entry that was not sent. It changes nothing if the lease is lost.
func (o *Outbox) release(ctx context.Context, entry *Entry, due time.Time, reason error) error {
	return o.db.Statement(ctx, func(db *gorm.DB) error {
		return db.Model(&Entry{}).Where("id = ? AND lease = ?", entry.ID, entry.Lease).
			Updates(map[string]any{"lease": nil, "due_at": due, "last_error": shortened(reason)}).Error
	})
}

// remove deletes an entry that was sent, even if another worker has its lease. If the database
// fails, it tries again until ctx is done, because the email would be sent again otherwise.
func (o *Outbox) remove(ctx context.Context, entry *Entry) error {
	for {
		err := o.db.Statement(ctx, func(db *gorm.DB) error {
			return db.Where("id = ?", entry.ID).Delete(&Entry{}).Error
		})
		if err == nil {
			return nil
		}
		o.log.Error("outbox: database error", "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(removeWait):
		}
	}
}

// hasten makes the emails due that wait for a retry.
func (o *Outbox) hasten(ctx context.Context) error {
	return o.db.Statement(ctx, func(db *gorm.DB) error {
		now := o.now()
		return db.Model(&Entry{}).Where("lease IS NULL AND dead_at IS NULL AND due_at > ?", now).
			Updates(map[string]any{"due_at": now}).Error
	})
}
