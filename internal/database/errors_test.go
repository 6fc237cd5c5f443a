package database

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

// The tests cannot cause these errors in a real database. TestErrors and others cover the rest.
func TestUnavailable(t *testing.T) {
	for want, codes := range map[bool][]string{
		true:  {"08006", "25006", "40001", "40P01", "53300", "55P03", "57014", "57P01", "58030"},
		false: {"", "22021", "23505", "23503", "25P02", "42601", "55000"},
	} {
		for _, code := range codes {
			if got := unavailable(fmt.Errorf("statement: %w", &pgconn.PgError{Code: code})); got != want {
				t.Errorf("SQLSTATE %q: %v", code, got)
			}
		}
	}
	for want, codes := range map[bool][]int{
		true: {
			sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
			sqlite3.SQLITE_INTERRUPT,
		},
		false: {
			sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
			sqlite3.SQLITE_MISUSE,
		},
	} {
		for _, code := range codes {
			if got := unavailableSQLite(code); got != want {
				t.Errorf("SQLite's code %d: %v", code, got)
			}
		}
	}
	if !unavailable(fmt.Errorf("statement: %w", pgconn.ErrConnClosed)) {
		t.Error("a closed connection does not count as unavailable")
	}
	if unavailable(errors.New("another")) {
		t.Error("an unknown error counts as unavailable")
	}
}
