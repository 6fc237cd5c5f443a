package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrRequired is returned by [DB.Batch] and [DB.Transaction] if a condition of [Require] is false.
var ErrRequired = errors.New("a required condition is false")

// Batch is like Transaction, but sends all statements of work to PostgreSQL together, in one round
// trip, after work has returned. So a statement of work must not return rows, the number of rows
// that it changes is not known, and its error is that of Batch. With [Require], what is stored can
// depend on a condition.
func (db *DB) Batch(ctx context.Context, work func(tx *gorm.DB) error) error {
	var err error
	if db.writer != nil {
		err = db.write(ctx, work)
	} else {
		err = db.retry(ctx, func(session *gorm.DB) error {
			queue := &batch{}
			session.Statement.ConnPool = queue
			if err := work(session); err != nil {
				return err
			}
			return db.send(session.Statement.Context, queue)
		})
	}
	err = required(err)
	if translator, ok := db.gorm.Dialector.(gorm.ErrorTranslator); ok && err != nil {
		return translator.Translate(err)
	}
	return err
}

// Require makes a batch or a transaction fail with ErrRequired, and store nothing, if a condition
// is false when the statements before it have run. The condition is a constant of the program, in
// SQL.
func Require(tx *gorm.DB, condition string, args ...any) error {
	// A constraint of the column refuses the value, if there is a row to set it in.
	return tx.Exec("UPDATE health SET checked_at = NULL WHERE NOT ("+condition+")", args...).Error
}

// required adds ErrRequired to the error of Require.
func required(err error) error {
	if isRequirement(err) {
		return fmt.Errorf("%w: %w", ErrRequired, err)
	}
	return err
}

// isRequirement reports whether err is that of Require.
func isRequirement(err error) bool {
	if onPostgres, ok := errors.AsType[*pgconn.PgError](err); ok {
		const notNullViolation = "23502"
		return onPostgres.Code == notNullViolation && onPostgres.TableName == "health"
	}
	onSQLite, ok := errors.AsType[*sqlite.Error](err)
	return ok && onSQLite.Code() == sqlite3.SQLITE_CONSTRAINT_NOTNULL && strings.Contains(err.Error(), "health.checked_at")
}

// batch is a pool for GORM that queues statements.
type batch struct{ pgx.Batch }

var _ gorm.ConnPool = (*batch)(nil)

var errBatch = errors.New("a statement in a batch must not return rows")

// ExecContext queues a statement.
func (b *batch) ExecContext(_ context.Context, query string, args ...any) (sql.Result, error) {
	b.Queue(query, args...)
	return driver.RowsAffected(0), nil
}

// QueryContext returns an error.
func (b *batch) QueryContext(context.Context, string, ...any) (*sql.Rows, error) {
	return nil, errBatch
}

// QueryRowContext returns no row.
func (b *batch) QueryRowContext(context.Context, string, ...any) *sql.Row { return nil }

// PrepareContext returns an error.
func (b *batch) PrepareContext(context.Context, string) (*sql.Stmt, error) { return nil, errBatch }

// send sends the queued statements, which PostgreSQL runs in one transaction.
func (db *DB) send(ctx context.Context, queue *batch) error {
	pool, err := db.gorm.DB()
	if err != nil {
		return err
	}
	return onConnection(ctx, pool, func(conn *pgx.Conn) error {
		return db.timed(ctx, queue, func() error {
			return conn.SendBatch(ctx, &queue.Batch).Close() // of the first statement that failed, or the commit
		})
	})
}
