// Package database opens the SQL database of Sesame, and migrates its schema.
//
// A [DB] is one of two engines, which behave alike: SQLite, a file in the data folder, or
// PostgreSQL. The packages that own tables (auth, signing, mail, throttle, audit) write their
// statements with GORM. This package guarantees, on both engines, that
//
//   - a duplicate key is gorm.ErrDuplicatedKey, and a database that is down, full, locked or too
//     slow is [ErrUnavailable];
//   - changes are durable when [DB.Transaction] or [DB.Statement] returns without an error, in the
//     file that the next start will open: one that was removed meanwhile is [ErrUnavailable];
//   - concurrent writers wait for each other instead of failing, and a transaction that PostgreSQL
//     rolled back because of another one (a deadlock, or a serialization failure) runs again;
//   - on PostgreSQL, a call whose context has a deadline, such as that of a request, returns within
//     callLimit, even if the server does not respond at all.
//
// A deadline interrupts a statement, with one exception: once a read on SQLite has returned its
// first row, it stops only between rows, because the driver does not interrupt the search for the
// next one.
//
// Times are stored with microseconds, the finest resolution that both engines have, and compared as
// instants. On SQLite they are integers in columns declared as DATETIME. The driver returns a time
// only for such a column, and not for an expression such as MAX(created_at).
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/sesame-auth/sesame/internal/tracing"
)

// DB is a database. It is safe for concurrent use.
//
// GORM's own Transaction, Begin and Connection must not be called outside this package, because
// they do not treat deadlines and cancellation like [DB.Transaction]. The linter refuses them.
type DB struct {
	gorm    *gorm.DB
	limit   time.Duration // of one call whose context has a deadline; 0: that deadline
	file    *sqliteFile   // nil: PostgreSQL
	writer  *sqliteWriter // nil: PostgreSQL
	observe func(statement string, took time.Duration)
}

const (
	// tries is how often a transaction runs that PostgreSQL rolls back because of another one.
	tries = 15
	// longestWait is the longest wait between two tries.
	longestWait = 200 * time.Millisecond
	// canceledLimit is how long a transaction may continue after its context was canceled.
	canceledLimit = 5 * time.Second
)

// Open connects to the database at url: "postgres://…" or "postgresql://…" (several hosts and
// target_session_attrs work as in libpq), or "sqlite:" followed by the path of a file, which is
// created if it does not exist. Open returns when the database has responded. It does not migrate
// the schema.
func Open(ctx context.Context, url string) (*DB, error) { return openURL(ctx, url, true) }

// OpenExisting is like Open, but does not create the file of an SQLite database. If there is none,
// its error is fs.ErrNotExist.
func OpenExisting(ctx context.Context, url string) (*DB, error) { return openURL(ctx, url, false) }

func openURL(ctx context.Context, url string, create bool) (*DB, error) {
	switch {
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return openPostgres(ctx, url)
	case strings.HasPrefix(url, "sqlite:"):
		return openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"), create)
	default:
		return nil, errors.New("the database URL must begin with sqlite: or postgres://")
	}
}

// open opens GORM with the settings that both engines share.
func open(ctx context.Context, dialector gorm.Dialector) (*DB, error) {
	opened, err := gorm.Open(dialector, &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true, // transactions are explicit: see Transaction
		DisableAutomaticPing:   true, // pinged below, with a context
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := &DB{gorm: opened, observe: func(string, time.Duration) {}}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach database: %w", err), db.Close())
	}
	return db, nil
}

// Engine returns "sqlite" or "postgres".
func (db *DB) Engine() string { return db.gorm.Name() }

// WithContext returns a GORM session for one read. Writes belong in Transaction or Statement.
func (db *DB) WithContext(ctx context.Context) *gorm.DB {
	limited, cancel := db.limited(ctx)
	_ = cancel // the read comes later; a context with a deadline ends by itself
	return db.gorm.WithContext(limited)
}

// Transaction calls work and commits, or rolls back if work returns an error.
//
// It calls work again if the database rolled the transaction back because of another one, so work
// must set every variable outside that it changes, and must not change anything else. A retry is
// safe because the database guarantees that nothing was stored.
//
// The deadline of ctx applies, but its cancellation only after canceledLimit: otherwise, if a
// client disconnects during COMMIT, nobody would know whether the transaction was committed. If
// Transaction returns an error, the caller must not report success, although the transaction may
// have been committed if the connection was lost.
func (db *DB) Transaction(ctx context.Context, work func(tx *gorm.DB) error) error {
	if db.writer != nil {
		return required(db.write(ctx, work))
	}
	ctx, span := tracing.Start(ctx, transactionSpan)
	defer span.End()
	return required(db.retry(ctx, func(session *gorm.DB) error { return session.Transaction(work) }))
}

// Statement is like Transaction, but for a single statement, which PostgreSQL commits by itself. It
// saves the round trips of BEGIN and COMMIT. A failed commit is reported when the statement's rows
// are closed, which GORM's methods do.
func (db *DB) Statement(ctx context.Context, work func(db *gorm.DB) error) error {
	if db.writer != nil {
		return db.write(ctx, work)
	}
	return db.retry(ctx, work)
}

// write calls work in a transaction of SQLite.
func (db *DB) write(ctx context.Context, work func(tx *gorm.DB) error) error {
	ctx, span := tracing.Start(ctx, transactionSpan)
	defer span.End()
	ctx, cancel := cancelLate(ctx)
	defer cancel()
	err := db.writer.write(ctx, func(tx *sql.Tx) error {
		session := db.gorm.WithContext(ctx)
		session.Statement.ConnPool = tx
		return work(session)
	})
	if err != nil {
		return plain(err)
	}
	return db.file.check() // after the commit: what was written is in the file that the next start opens
}

// retry calls work until it does not lose a race, at most as often as tries and as long as ctx
// allows. It waits for a random time in between, so that the same transactions do not meet again.
func (db *DB) retry(ctx context.Context, work func(session *gorm.DB) error) error {
	ctx, cancel := db.limited(ctx)
	defer cancel()
	ctx, cancelLate := cancelLate(ctx)
	defer cancelLate()
	for try := 1; ; try++ {
		err := plain(work(db.gorm.WithContext(ctx))) // GORM does not translate the errors of Raw
		if !lostRace(err) || try == tries {
			return err
		}
		select {
		case <-time.After(rand.N(min(time.Millisecond<<try, longestWait))): //nolint:gosec // not a secret
		case <-ctx.Done():
			return err
		}
	}
}

// limited returns ctx with a deadline in db.limit, if it has a deadline at all.
func (db *DB) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); !ok || db.limit == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, db.limit)
}

// cancelLate returns ctx with its deadline, and a cancellation that is delayed by canceledLimit.
func cancelLate(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	var cancel context.CancelFunc
	if deadline, ok := ctx.Deadline(); ok {
		detached, cancel = context.WithDeadline(detached, deadline)
	} else {
		detached, cancel = context.WithCancel(detached)
	}
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(canceledLimit):
			cancel()
		case <-detached.Done():
		}
	})
	return detached, func() { stop(); cancel() }
}

// Ping reports whether the database responds.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return plain(db.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// Pools returns the connection pools by name, for metrics.
func (db *DB) Pools() (map[string]*sql.DB, error) {
	if pool, ok := db.gorm.ConnPool.(*sqlitePool); ok {
		return map[string]*sql.DB{"writer": pool.writer, "readers": pool.readers}, nil
	}
	pool, err := db.gorm.DB()
	if err != nil {
		return nil, fmt.Errorf("database pools: %w", err)
	}
	return map[string]*sql.DB{"postgres": pool}, nil
}

// Close waits for running statements and closes every connection.
func (db *DB) Close() error {
	if pool, ok := db.gorm.ConnPool.(*sqlitePool); ok {
		return pool.close()
	}
	pool, err := db.gorm.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}
