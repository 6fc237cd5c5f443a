package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrUnavailable is returned if the database cannot run a statement at the moment: it is down,
// full, locked, read-only or too slow. The statement may or may not have taken effect, so callers
// must not report success. The same request may succeed later.
var ErrUnavailable = errors.New("database unavailable")

// translate adds ErrUnavailable to err if unavailable reports true for it, and passes other errors
// to engine.
func translate(err error, engine func(error) error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	if unavailable(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return engine(err)
}

// plain is translate for errors that GORM did not translate: those from outside GORM, and those
// from its Raw, Row and Rows.
func plain(err error) error {
	return translate(err, func(err error) error { return err })
}

// unavailable reports whether err means that the database is unavailable, and not that the
// statement is wrong or violates a constraint.
func unavailable(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true // whatever the reason: no statement was sent, and an operator can fix it
	}
	if onPostgres, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailablePostgres(onPostgres.Code)
	}
	if onSQLite, ok := errors.AsType[*sqlite.Error](err); ok {
		return unavailableSQLite(onSQLite.Code() & 0xff)
	}
	_, network := errors.AsType[net.Error](err)
	return network ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		strings.HasSuffix(err.Error(), "sql: database is closed") // database/sql does not export this error
}

// The SQLSTATEs that this package handles.
const (
	readOnlyTransaction  = "25006" // this host is a standby now
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	lockNotAvailable     = "55P03"
)

// lostRace reports whether PostgreSQL rolled the transaction back because of another one, so that
// the same transaction may succeed if it runs again.
func lostRace(err error) bool {
	onPostgres, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (onPostgres.Code == serializationFailure || onPostgres.Code == deadlockDetected)
}

// unavailablePostgres reports whether an SQLSTATE (PostgreSQL manual, appendix A) is a condition
// that ends by itself or that an operator can end: connection exceptions, insufficient resources,
// operator intervention, a primary that became a standby, and conflicts with other transactions.
func unavailablePostgres(code string) bool {
	switch code {
	case readOnlyTransaction, serializationFailure, deadlockDetected, lockNotAvailable:
		return true
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58":
		return true
	}
	return false
}

// unavailableSQLite is unavailablePostgres for the primary result codes of SQLite.
func unavailableSQLite(primary int) bool {
	switch primary {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_PROTOCOL,  // another process had the lock of the write-ahead log for too long
		sqlite3.SQLITE_INTERRUPT: // the deadline passed during a statement
		return true
	}
	return false
}
