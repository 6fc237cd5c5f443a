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

// Kind says which letter a row of the outbox becomes. The name is stored.
type Kind string

// Compose makes the letter of a row when it is sent, perhaps more than once. A
// nil message means that there is nothing to send, and the row goes as if it
// had been sent. After an error, or a panic, the row is tried again later. The
// error's text is logged and must hold nothing secret.
type Compose func(ctx context.Context, email string) (*Message, error)

// outboxRow is one letter to send. DueAt is backoff and lease in one: a worker
// takes a row by moving DueAt into the future, where no other worker sees it.
type outboxRow struct {
	ID        string `gorm:"primaryKey"` // UUIDv7
	Kind      Kind
	Email     string
	Attempts  int // started, the one in progress included
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

// Enqueue writes one row in the caller's transaction: the same statement for
// every kind and address, known or not, so that its time tells nothing. The
// letter is sent after the transaction has committed; call [Outbox.Wake] then
// to have that happen at once.
func (o *Outbox) Enqueue(tx *gorm.DB, kind Kind, email string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("mail: an id for the outbox: %w", err)
	}
	now := o.now()
	row := outboxRow{ID: id.String(), Kind: kind, Email: email, DueAt: now, CreatedAt: now}
	if err := tx.Create(&row).Error; err != nil {
		return fmt.Errorf("mail: writing to the outbox: %w", err)
	}
	return nil
}

// Wake tells a worker of this process that a row was committed. It never blocks.
func (o *Outbox) Wake() {
	select {
	case o.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// Backlog is what the outbox holds.
type Backlog struct {
	Messages int64         // not sent
	Due      int64         // of these, not waiting for another try, nor in a worker's hand
	Oldest   time.Duration // since the oldest of them was written; 0 if there is none
}

// Backlog counts what waits, in one statement.
func (o *Outbox) Backlog(ctx context.Context) (Backlog, error) {
	now := o.now()
	var oldest []struct {
		Backlog
		CreatedAt time.Time
	}
	err := o.db.WithContext(ctx).Model(&outboxRow{}).
		Select("created_at, (SELECT COUNT(*) FROM outbox) AS messages, (SELECT COUNT(*) FROM outbox WHERE due_at <= ?) AS due", now).
		Order("id"). // of UUIDv7 the oldest is first
		Limit(1).Find(&oldest).Error
	if err != nil || len(oldest) == 0 {
		return Backlog{}, err
	}
	oldest[0].Oldest = max(0, now.Sub(oldest[0].CreatedAt)) // another instance's clock may be ahead
	return oldest[0].Backlog, nil
}

// first reads the row that is due first, nil if the outbox is empty.
func (o *Outbox) first(ctx context.Context) (*outboxRow, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var rows []outboxRow
	if err := o.db.WithContext(ctx).Order("due_at").Limit(1).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// claim takes the row until the given time. Of several workers that saw it due
// at once, the database lets one through: the others find due_at moved.
func (o *Outbox) claim(ctx context.Context, row *outboxRow, until time.Time) (bool, error) {
	claimed := false
	err := o.db.Statement(ctx, func(db *gorm.DB) error {
		update := db.Model(&outboxRow{}).
			Where("id = ? AND due_at <= ?", row.ID, o.now()).
			Updates(map[string]any{"due_at": until, "attempts": gorm.Expr("attempts + 1")})
		claimed = update.RowsAffected == 1
		return update.Error
	})
	return claimed, err
}

// postpone gives a claimed row back, due later. If the lease has passed and
// another worker has the row, its claim stands.
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
