package mail

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// DeadFor is how long an email is kept that was given up.
const DeadFor = 7 * 24 * time.Hour

// longestError is the length, in bytes, from which an error is not stored completely.
const longestError = 500

// ErrUnknownEntry means that the outbox has no email with this id that may be changed.
var ErrUnknownEntry = errors.New("there is no such email, or it is being sent")

// giveUp turns an entry that was read or claimed into a dead letter, unless it was changed since.
// The transaction also records the audit event.
func (o *Outbox) giveUp(ctx context.Context, entry *Entry, reason error) error {
	now, given := o.now(), false
	err := o.db.Transaction(ctx, func(tx *gorm.DB) error {
		update := tx.Model(&Entry{}).
			Where("id = ? AND dead_at IS NULL AND lease IS NOT DISTINCT FROM ?", entry.ID, entry.Lease).
			Updates(map[string]any{"dead_at": now, "lease": nil, "last_error": shortened(reason)})
		if given = update.RowsAffected == 1; update.Error != nil || !given {
			return update.Error
		}
		return audit.Record(tx, o.event(entry, audit.GiveUpEmail, audit.Failure, shortened(reason)))
	})
	if err == nil && given {
		o.givenUp.Add(1)
	}
	return err
}

// giveUpOld gives up emails that have waited for too long, while the mail server is down.
func (o *Outbox) giveUpOld(ctx context.Context) error {
	entries, err := o.waiting(ctx, "created_at", batch, func(db *gorm.DB) *gorm.DB {
		return db.Where("created_at <= ? AND attempts > 0", o.now().Add(-giveUpAfter))
	})
	for _, entry := range entries {
		err = errors.Join(err, o.giveUp(ctx, &entry, errors.New(entry.LastError)))
	}
	return err
}

// Filter selects emails in the outbox.
type Filter struct {
	ID   string // empty: all
	Dead bool   // only those that were given up
}

func (f Filter) narrow(db *gorm.DB) *gorm.DB {
	if f.ID != "" {
		db = db.Where("id = ?", f.ID)
	}
	if f.Dead {
		db = db.Where("dead_at IS NOT NULL")
	}
	return db
}

// Unsent returns up to limit emails in the outbox, the oldest first.
func (o *Outbox) Unsent(ctx context.Context, filter Filter, limit int) ([]Entry, error) {
	var entries []Entry
	err := filter.narrow(o.db.WithContext(ctx)).Order("id").Limit(limit).Find(&entries).Error
	return entries, err
}

// Retry makes emails due as if they had just been stored, and returns how many. It leaves out those
// that are being sent. Running servers send them within seconds.
func (o *Outbox) Retry(ctx context.Context, filter Filter) (int, error) {
	return o.change(ctx, filter, audit.RetryEmail, func(tx *gorm.DB) *gorm.DB {
		now := o.now()
		return tx.Where("lease IS NULL").
			Updates(map[string]any{"due_at": now, "created_at": now, "attempts": 0, "dead_at": nil})
	})
}

// Drop deletes emails and returns how many. One that is being sent may still arrive.
func (o *Outbox) Drop(ctx context.Context, filter Filter) (int, error) {
	return o.change(ctx, filter, audit.DropEmail, func(tx *gorm.DB) *gorm.DB { return tx.Delete(&Entry{}) })
}

// change changes emails one by one, and records an audit event for each, in one transaction.
func (o *Outbox) change(
	ctx context.Context, filter Filter, kind audit.Kind, change func(tx *gorm.DB) *gorm.DB,
) (changed int, err error) {
	err = o.db.Transaction(ctx, func(tx *gorm.DB) error {
		var entries []Entry
		if err := filter.narrow(tx).Order("id").Find(&entries).Error; err != nil {
			return err
		}
		for _, entry := range entries {
			update := change(filter.narrow(tx.Model(&Entry{})).Where("id = ?", entry.ID))
			if update.Error != nil {
				return update.Error
			}
			if update.RowsAffected == 0 {
				continue
			}
			changed++
			if err := audit.Record(tx, o.event(&entry, kind, audit.Success, entry.LastError)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", kind, err)
	}
	if filter.ID != "" && changed == 0 {
		return 0, fmt.Errorf("%s: %w", filter.ID, ErrUnknownEntry)
	}
	return changed, nil
}

// Purge deletes up to limit emails that were given up long ago, in the caller's transaction. It
// returns how many it deleted.
func (o *Outbox) Purge(tx *gorm.DB, limit int) (int64, error) {
	return database.DeleteUntil(tx, "outbox", "id", "dead_at", o.now().Add(-DeadFor), limit)
}

func (o *Outbox) event(entry *Entry, kind audit.Kind, outcome audit.Outcome, reason string) audit.Event {
	return audit.Event{
		At: o.now(), Kind: kind, Outcome: outcome, Email: entry.Email,
		Detail: strings.TrimSuffix(string(entry.Kind)+" "+entry.ID+": "+reason, ": "),
	}
}

// shortened returns the text of an error, for the database.
func shortened(err error) string {
	return strings.ToValidUTF8(err.Error()[:min(len(err.Error()), longestError)], "")
}
