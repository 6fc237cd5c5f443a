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

	gosqlite "github.com/glebarez/go-sqlite"
	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrUnavailable says that the database could not do what was asked just now: it is gone, full, locked,
// read-only or too slow. Nothing may be acknowledged; the same request may succeed later.
var ErrUnavailable = errors.New("database unavailable")

// translate marks err as ErrUnavailable where it is, and leaves the rest to the engine's own translation.
func translate(err error, engine func(error) error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	if unavailable(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return engine(err)
}

// plain translates where no engine's translation is at hand: outside GORM, and for GORM's Row and Rows, which
// pass an error on as it is.
func plain(err error) error {
	return translate(err, func(err error) error { return err })
}

func unavailable(err error) bool {
	var onPostgres *pgconn.PgError
	if errors.As(err, &onPostgres) {
		return unavailablePostgres(onPostgres.Code)
	}
	var onSQLite *gosqlite.Error
	if errors.As(err, &onSQLite) {
		return unavailableSQLite(onSQLite.Code() & 0xff)
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		// Neither has a type of its own: database/sql after Close, pgx on a connection that broke.
		strings.HasSuffix(err.Error(), "sql: database is closed") || strings.HasSuffix(err.Error(), "conn closed")
}

// unavailablePostgres knows the SQLSTATEs (PostgreSQL manual, appendix A) that pass by themselves or by an
// operator's hand: connection exceptions, resources, operator intervention, a primary that became a
// standby, and transactions that lost against others.
func unavailablePostgres(code string) bool {
	switch code {
	case "25006", // read_only_sql_transaction: this host is a standby by now
		"40001", "40P01", // serialization_failure, deadlock_detected
		"55P03": // lock_not_available
		return true
	}
	switch code[:min(2, len(code))] {
	case "08", "53", "57", "58":
		return true
	}
	return false
}

func unavailableSQLite(primary int) bool {
	switch primary {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_INTERRUPT: // the deadline passed in the middle of a statement
		return true
	}
	return false
}
