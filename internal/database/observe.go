package database

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/tracing"
)

// startedKey is the key of the time at which a statement started.
type startedKey struct{}

// Observe calls observe with the first word of each statement, such as "SELECT", and how long it
// took. It leaves out BEGIN and COMMIT. The statements that PostgreSQL gets together are one, with the
// word "BATCH". It also makes the same statements spans of traces. Call Observe before the database is
// used.
func (db *DB) Observe(observe func(statement string, took time.Duration)) error {
	db.observe = observe
	start := func(tx *gorm.DB) {
		if _, queued := tx.Statement.ConnPool.(*batch); !queued {
			tx.Statement.Settings.Store(startedKey{}, time.Now())
		}
	}
	end := func(tx *gorm.DB) {
		if started, ok := tx.Statement.Settings.LoadAndDelete(startedKey{}); ok {
			started, _ := started.(time.Time)
			observe(firstWord(tx.Statement.SQL.String()), time.Since(started))
			if tracing.IsRecorded(tx.Statement.Context) {
				db.trace(tx.Statement.Context, started, tx.Error, tx.Statement.SQL.String())
			}
		}
	}
	const before, after = "sesame:start", "sesame:end"
	on := db.gorm.Callback()
	return errors.Join(
		on.Query().Before("*").Register(before, start), on.Query().After("*").Register(after, end),
		on.Row().Before("*").Register(before, start), on.Row().After("*").Register(after, end),
		on.Raw().Before("*").Register(before, start), on.Raw().After("*").Register(after, end),
		on.Create().Before("*").Register(before, start), on.Create().After("*").Register(after, end),
		on.Update().Before("*").Register(before, start), on.Update().After("*").Register(after, end),
		on.Delete().Before("*").Register(before, start), on.Delete().After("*").Register(after, end),
	)
}

// timed calls run, which sends the queued statements together, and observes how long it took.
func (db *DB) timed(ctx context.Context, queue *batch, run func() error) error {
	started := time.Now()
	err := run()
	db.observe("BATCH", time.Since(started))
	if tracing.IsRecorded(ctx) {
		var statements []string
		for _, queued := range queue.QueuedQueries {
			statements = append(statements, queued.SQL)
		}
		db.trace(ctx, started, err, statements...)
	}
	return err
}

func firstWord(statement string) string {
	word, _, _ := strings.Cut(strings.TrimSpace(statement), " ")
	return word
}

// WALBytes returns the size of the write-ahead log of an SQLite database. It returns 0 for
// PostgreSQL, and if there is none.
func (db *DB) WALBytes() int64 {
	if db.file == nil {
		return 0
	}
	info, err := os.Stat(db.file.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
