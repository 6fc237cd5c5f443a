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
//   - concurrent writers wait for each other instead of failing.
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
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// DB is a database. It is safe for concurrent use.
//
// GORM's own Transaction, Begin and Connection must not be called outside this package, because
// they do not treat deadlines and cancellation like [DB.Transaction]. The linter refuses them.
type DB struct {
	gorm *gorm.DB
	file *sqliteFile // nil: PostgreSQL
}

// Open connects to the database at url: "postgres://…" or "postgresql://…" (several hosts and
// target_session_attrs work as in libpq), or "sqlite:" followed by the path of a file, which is
// created if it does not exist. Open returns when the database has responded. It does not migrate
// the schema.
func Open(ctx context.Context, url string) (*DB, error) { return openURL(ctx, url, true) }

// OpenExisting is like Open, but does not create the file of an SQLite database. If there is none,
// its error is fs.ErrNotExist.
func OpenExisting(ctx context.Context, url string) (*DB, error) { return openURL(ctx, url, false) }

// CheckURL returns an error if Open would refuse the form of the URL of a PostgreSQL database. It
// does not connect. The error does not quote the URL, which may contain a password.
func CheckURL(url string) error {
	_, err := pgx.ParseConfig(url)
	if err == nil {
		return nil
	}
	if cause := errors.Unwrap(err); cause != nil { // err quotes the URL, and the cause does not
		return fmt.Errorf("is not valid: %w", cause)
	}
	return errors.New("is not valid")
}

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
	db := &DB{gorm: opened}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach database: %w", err), db.Close())
	}
	return db, nil
}

// Engine returns "sqlite" or "postgres".
func (db *DB) Engine() string { return db.gorm.Name() }

// WithContext returns a GORM session for reads. Writes belong in Transaction or Statement.
func (db *DB) WithContext(ctx context.Context) *gorm.DB { return db.gorm.WithContext(ctx) }

// Transaction calls work and commits, or rolls back if work returns an error.
//
// The deadline of ctx applies, but not its cancellation: otherwise, if a client disconnects during
// COMMIT, nobody would know whether the transaction was committed. If Transaction returns an error,
// the caller must not report success, although the transaction may have been committed if the
// connection was lost.
func (db *DB) Transaction(ctx context.Context, work func(tx *gorm.DB) error) error {
	ctx, cancel := withoutCancel(ctx)
	defer cancel()
	return db.stored(plain(db.gorm.WithContext(ctx).Transaction(work))) // GORM does not translate the errors of Raw
}

// Statement is like Transaction, but for a single statement, which both engines commit by
// themselves. It saves the round trips of BEGIN and COMMIT. A failed commit is reported when the
// statement's rows are closed, which GORM's methods do.
func (db *DB) Statement(ctx context.Context, work func(db *gorm.DB) error) error {
	ctx, cancel := withoutCancel(ctx)
	defer cancel()
	return db.stored(plain(work(db.gorm.WithContext(ctx))))
}

// withoutCancel returns ctx with its deadline and without its cancellation.
func withoutCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	detached := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(detached, deadline)
	}
	return detached, func() {}
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
