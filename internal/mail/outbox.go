package mail

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Kind is the kind of an email in the outbox. It is stored in the database.
type Kind string

// Compose returns the message of an entry when it is about to be sent, which may happen
// more than once. If it returns a nil message, there is nothing to send and the entry
// is deleted. If it returns an error or panics, the entry is tried again later. The
// error is logged and must not contain secrets.
type Compose func(ctx context.Context, entry *Entry) (*Message, error)

// Entry is an email in the outbox.
type Entry struct {
	ID        string `gorm:"primaryKey"` // UUIDv7
	Kind      Kind
	Email     string    // of the recipient
	UserID    uuid.UUID // uuid.Nil: the email may have no account
	Attempts  int       // started, including the one in progress
	DueAt     time.Time // of the next attempt; while there is a lease, the sender's last heartbeat
	Lease     *string   // a UUID while the email is being sent
	LastError string    // of the last attempt that failed; without the message and its secrets
	CreatedAt time.Time `gorm:"autoCreateTime:false"`
	DeadAt    *time.Time
}

// TableName returns the table's name.
func (Entry) TableName() string { return "outbox" }

// OutboxConfig configures an Outbox. Fields without a comment are required.
type OutboxConfig struct {
	DB     *database.DB
	Sender Sender
	Log    *slog.Logger
	Now    func() time.Time
	Tracer trace.Tracer // of the spans of emails; nil: there are none
}

// Outbox keeps emails in the database until they are sent. It is safe for concurrent use.
type Outbox struct {
	db      *database.DB
	sender  Sender
	log     *slog.Logger
	clock   func() time.Time
	tracer  trace.Tracer
	grace   time.Duration // for the emails that are being sent when Run has to end
	sending sync.WaitGroup
	pace    *pace
	seen    map[string]sighting // leases, by the id of the entry; used by Run only

	wake, recovered signal

	sent, failed, givenUp atomic.Int64
}

// NewOutbox returns an Outbox.
func NewOutbox(config OutboxConfig) *Outbox {
	return &Outbox{
		db: config.DB, sender: config.Sender, log: config.Log, clock: config.Now, tracer: config.Tracer,
		grace: shutdownGrace, pace: newPace(), wake: newSignal(), recovered: newSignal(),
	}
}

// now returns the time in UTC and in microseconds, as both engines store it.
func (o *Outbox) now() time.Time { return o.clock().UTC().Truncate(time.Microsecond) }

// Enqueue stores an email in the caller's transaction. user is the account that the email is
// about, or uuid.Nil if the sender does not know whether there is one. The statement is the
// same for every kind and email, with or without an account, so its duration reveals nothing.
// The email is sent after the transaction was committed. Call [Outbox.Wake] then
// to send it immediately.
func (o *Outbox) Enqueue(tx *gorm.DB, kind Kind, email string, user uuid.UUID) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("outbox: generate id: %w", err)
	}
	now := o.now()
	entry := Entry{ID: id.String(), Kind: kind, Email: email, UserID: user, DueAt: now, CreatedAt: now}
	if err := tx.Create(&entry).Error; err != nil {
		return fmt.Errorf("outbox: enqueue: %w", err)
	}
	return nil
}

// Forget deletes the emails to a user, also those that were given up, in the caller's transaction.
// An email that is being sent is not stopped.
func (o *Outbox) Forget(tx *gorm.DB, user uuid.UUID, email string) error {
	if err := tx.Where("user_id = ? OR email = ?", user, email).Delete(&Entry{}).Error; err != nil {
		return fmt.Errorf("outbox: forget: %w", err)
	}
	return nil
}

// Clear deletes all emails, in the caller's transaction.
func (o *Outbox) Clear(tx *gorm.DB) error {
	if err := tx.Exec("DELETE FROM outbox").Error; err != nil {
		return fmt.Errorf("outbox: clear: %w", err)
	}
	return nil
}

// Wake wakes a worker of this process after a row was committed. It does not block.
func (o *Outbox) Wake() { o.wake.send() }

// Backlog describes the emails in the outbox.
type Backlog struct {
	Messages int64         // not sent, and not given up
	Due      int64         // of these, neither waiting for a retry nor being sent
	Dead     int64         // given up
	Oldest   time.Duration // age of the oldest message that is not given up; 0 if there is none
}

// Backlog counts the emails in the outbox.
func (o *Outbox) Backlog(ctx context.Context) (Backlog, error) {
	return ReadBacklog(ctx, o.db, o.now())
}

// ReadBacklog counts the emails in the outbox of a database, with one statement.
func ReadBacklog(ctx context.Context, db *database.DB, now time.Time) (Backlog, error) {
	now = now.UTC().Truncate(time.Microsecond)
	var counted []struct {
		Backlog
		CreatedAt *time.Time
	}
	// The driver of SQLite returns a time only for a column, and not for MIN(created_at).
	err := db.WithContext(ctx).Raw(`
		SELECT counts.*, oldest.created_at FROM (
			SELECT COUNT(*) FILTER (WHERE dead_at IS NULL) AS messages,
				COUNT(*) FILTER (WHERE dead_at IS NULL AND lease IS NULL AND due_at <= ?) AS due,
				COUNT(dead_at) AS dead
			FROM outbox) AS counts
		LEFT JOIN (SELECT created_at FROM outbox WHERE dead_at IS NULL ORDER BY created_at LIMIT 1) AS oldest ON TRUE`,
		now).Scan(&counted).Error
	if err != nil || len(counted) == 0 {
		return Backlog{}, err
	}
	if oldest := counted[0].CreatedAt; oldest != nil {
		counted[0].Oldest = max(0, now.Sub(*oldest)) // another instance's clock may be ahead
	}
	return counted[0].Backlog, nil
}

// Counts returns how many emails this Outbox has sent, how many attempts have failed, and how many
// emails were given up.
func (o *Outbox) Counts() (sent, failed, givenUp int64) {
	return o.sent.Load(), o.failed.Load(), o.givenUp.Load()
}
