package mail

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// Kind says which letter a row of the outbox becomes. The name is stored.
type Kind string

// Compose makes the letter of a row when it is sent, perhaps more than once. A
// nil message means that there is nothing to send, and the row goes as if it
// had been sent. After an error, or a panic, the row is tried again later. The
// error's text is logged and must hold nothing secret.
type Compose func(ctx context.Context, address string) (*Message, error)

// outboxRow is one letter to send. DueAt is backoff and lease in one: a worker
// takes a row by moving DueAt into the future, where no other worker sees it.
type outboxRow struct {
	ID        string `gorm:"primaryKey"` // UUIDv7
	Kind      Kind
	Address   string
	Attempts  int // started, the one in progress included
	DueAt     time.Time
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
}

func (outboxRow) TableName() string { return "outbox" }

// Outbox keeps letters in the database until they are sent. It is safe for
// concurrent use.
type Outbox struct {
	db     *gorm.DB
	sender Sender
	log    *slog.Logger
	now    func() time.Time
	wake   chan struct{}
	grace  time.Duration // for the letter in hand when Run is told to end
}

// NewOutbox makes an outbox over the table outbox of db. now may be nil:
// time.Now.
func NewOutbox(db *gorm.DB, sender Sender, log *slog.Logger, now func() time.Time) *Outbox {
	if now == nil {
		now = time.Now
	}
	return &Outbox{
		db:     db,
		sender: sender,
		log:    log,
		now:    func() time.Time { return now().UTC().Truncate(time.Microsecond) },
		wake:   make(chan struct{}, 1),
		grace:  shutdownGrace,
	}
}

// Enqueue writes one row in the caller's transaction: the same statement for
// every kind and address, known or not, so that its time tells nothing. The
// letter is sent after the transaction has committed; call [Outbox.Wake] then
// to have that happen at once.
func (o *Outbox) Enqueue(tx *gorm.DB, kind Kind, address string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("mail: an id for the outbox: %w", err)
	}
	now := o.now()
	row := outboxRow{ID: id.String(), Kind: kind, Address: address, DueAt: now, CreatedAt: now}
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
	Letters int64         // not sent
	Due     int64         // of these, not waiting for another try, nor in a worker's hand
	Oldest  time.Duration // since the oldest of them was written; 0 if there is none
}

// Backlog counts what waits, in one statement.
func (o *Outbox) Backlog(ctx context.Context) (Backlog, error) {
	now := o.now()
	var oldest []struct {
		Backlog
		CreatedAt time.Time
	}
	err := o.db.WithContext(ctx).Model(&outboxRow{}).
		Select("created_at, (SELECT COUNT(*) FROM outbox) AS letters, (SELECT COUNT(*) FROM outbox WHERE due_at <= ?) AS due", now).
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
	result := o.db.WithContext(ctx).Model(&outboxRow{}).
		Where("id = ? AND due_at <= ?", row.ID, o.now()).
		Updates(map[string]any{"due_at": until, "attempts": gorm.Expr("attempts + 1")})
	return result.RowsAffected == 1, result.Error
}

// postpone gives a claimed row back, due later. If the lease has passed and
// another worker has the row, its claim stands.
func (o *Outbox) postpone(ctx context.Context, row *outboxRow, claimedUntil, due time.Time) error {
	return o.db.WithContext(ctx).Model(&outboxRow{}).
		Where("id = ? AND due_at = ?", row.ID, claimedUntil).
		Updates(map[string]any{"due_at": due}).Error
}

func (o *Outbox) remove(ctx context.Context, row *outboxRow) error {
	return o.db.WithContext(ctx).Where("id = ?", row.ID).Delete(&outboxRow{}).Error
}
