package mail

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Kind is the kind of an email in the outbox. It is stored in the database.
type Kind string

// Compose returns the message of a row when it is about to be sent, which may happen
// more than once. If it returns a nil message, there is nothing to send and the row
// is deleted. If it returns an error or panics, the row is tried again later. The
// error is logged and must not contain secrets.
type Compose func(ctx context.Context, email string) (*Message, error)

// outboxRow is an email to send. DueAt is both backoff and lease: a worker claims
// a row by moving DueAt into the future, where other workers do not see it.
type outboxRow struct {
	ID        string `gorm:"primaryKey"` // UUIDv7
	Kind      Kind
	Email     string
	Attempts  int // started, including the one in progress
	DueAt     time.Time
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

func (outboxRow) TableName() string { return "outbox" }

// OutboxConfig configures an Outbox. All fields are required.
type OutboxConfig struct {
	DB     *database.DB
	Sender Sender
	Log    *slog.Logger
	Now    func() time.Time
}

// Outbox keeps emails in the database until they are sent. It is safe for concurrent use.
type Outbox struct {
	db     *database.DB
	sender Sender
	log    *slog.Logger
	clock  func() time.Time
	wake   chan struct{}
	grace  time.Duration // for the email that is being sent when Run has to end
}

// NewOutbox returns an Outbox.
func NewOutbox(config OutboxConfig) *Outbox {
	return &Outbox{
		db: config.DB, sender: config.Sender, log: config.Log, clock: config.Now,
		wake: make(chan struct{}, 1), grace: shutdownGrace,
	}
}

// now returns the time in UTC and in microseconds, as both engines store it.
func (o *Outbox) now() time.Time { return o.clock().UTC().Truncate(time.Microsecond) }

// Enqueue stores an email in the caller's transaction. The statement is the same for
// every kind and email, with or without an account, so its duration reveals nothing.
// The email is sent after the transaction was committed. Call [Outbox.Wake] then
// to send it immediately.
func (o *Outbox) Enqueue(tx *gorm.DB, kind Kind, email string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("outbox: generate id: %w", err)
	}
	now := o.now()
	row := outboxRow{ID: id.String(), Kind: kind, Email: email, DueAt: now, CreatedAt: now}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("outbox: enqueue: %w", err)
	}
	return nil
}

// Wake wakes a worker of this process after a row was committed. It does not block.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// Backlog describes the emails in the outbox.
type Backlog struct {
	Messages int64         // not sent
	Due      int64         // of these, neither waiting for a retry nor being sent
	Oldest   time.Duration // age of the oldest message; 0 if there is none
}

// Backlog counts the emails in the outbox, with one statement.
func (o *Outbox) Backlog(ctx context.Context) (Backlog, error) {
	now := o.now()
	var oldest []struct {
		Backlog
		CreatedAt time.Time
	}
	err := o.db.WithContext(ctx).Model(&outboxRow{}).
		Select("created_at, (SELECT COUNT(*) FROM outbox) AS messages, "+
				"(SELECT COUNT(*) FROM outbox WHERE due_at <= ?) AS due", now).
		Order("id"). // UUIDv7: the oldest is first
		Limit(1).Find(&oldest).Error
	if err != nil || len(oldest) == 0 {
		return Backlog{}, err
	}
	oldest[0].Oldest = max(0, now.Sub(oldest[0].CreatedAt)) // another instance's clock may be ahead
	return oldest[0].Backlog, nil
}

// first returns the row that is due first, or nil if the outbox is empty.
func (o *Outbox) first(ctx context.Context) (*outboxRow, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var rows []outboxRow
	if err := o.db.WithContext(ctx).Order("due_at").Limit(1).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// claim reserves the row until the given time. If several workers try at the same
// time, one succeeds; the others find that due_at has changed.
func (o *Outbox) claim(ctx context.Context, row *outboxRow, until time.Time) (bool, error) {
	claimed, now := false, o.now()
	err := o.db.Statement(ctx, func(db *gorm.DB) error {
		update := db.Model(&outboxRow{}).
			Where("id = ? AND (due_at <= ? OR due_at > ?)", row.ID, now, now.Add(maxWait)).
			Updates(map[string]any{"due_at": until, "attempts": gorm.Expr("attempts + 1")})
		claimed = update.RowsAffected == 1
		return update.Error
	})
	return claimed, err
}

// postpone releases a claimed row and makes it due later. If the lease has expired
// and another worker has claimed the row, it changes nothing.
func (o *Outbox) postpone(ctx context.Context, row *outboxRow, claimedUntil, due time.Time) error {
	return o.db.Statement(ctx, func(db *gorm.DB) error {
		return db.Model(&outboxRow{}).
			Where("id = ? AND due_at = ?", row.ID, claimedUntil).
			Updates(map[string]any{"due_at": due}).Error
	})
}

func (o *Outbox) remove(ctx context.Context, row *outboxRow) error {
	return o.db.Statement(ctx, func(db *gorm.DB) error {
		return db.Where("id = ?", row.ID).Delete(&outboxRow{}).Error
	})
}
