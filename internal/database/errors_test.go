package database

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

// These errors cannot be caused at will, so the others are tested with real databases.
func TestUnavailable(t *testing.T) {
	for code, want := range map[string]bool{
		"08006": true, "25006": true, "40001": true, "40P01": true, "53300": true, "55P03": true, "57014": true, "57P01": true, "58030": true,
		"": false, "22021": false, "23505": false, "23503": false, "25P02": false, "42601": false, "55000": false,
	} {
		if got := unavailable(fmt.Errorf("statement: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("SQLSTATE %q: %v", code, got)
		}
	}
	for primary, want := range map[int]bool{
		sqlite3.SQLITE_BUSY: true, sqlite3.SQLITE_LOCKED: true, sqlite3.SQLITE_FULL: true, sqlite3.SQLITE_IOERR: true, sqlite3.SQLITE_READONLY: true,
		sqlite3.SQLITE_CANTOPEN: true, sqlite3.SQLITE_NOMEM: true, sqlite3.SQLITE_PROTOCOL: true, sqlite3.SQLITE_INTERRUPT: true,
		sqlite3.SQLITE_ERROR: false, sqlite3.SQLITE_CONSTRAINT: false, sqlite3.SQLITE_CORRUPT: false, sqlite3.SQLITE_NOTADB: false, sqlite3.SQLITE_MISUSE: false,
	} {
		if got := unavailableSQLite(primary); got != want {
			t.Errorf("SQLite's code %d: %v", primary, got)
		}
	}
	if !unavailable(fmt.Errorf("statement: %w", pgconn.ErrConnClosed)) {
		t.Error("a closed connection is not unavailable")
	}
	if unavailable(errors.New("another")) {
		t.Error("every error is unavailable")
	}
}
