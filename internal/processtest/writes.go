package processtest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// RefuseWrites makes the database of a running server refuse all writes: no file of the process can
// grow (SQLite), or all transactions are read-only, as on a standby (PostgreSQL).
func (s *Server) RefuseWrites(t *testing.T) {
	t.Helper()
	s.setWrites(t, "--fsize=1:unlimited", "on")
}

// AcceptWrites ends what RefuseWrites began.
func (s *Server) AcceptWrites(t *testing.T) {
	t.Helper()
	s.setWrites(t, "--fsize=unlimited:unlimited", "off")
}

func (s *Server) setWrites(t *testing.T, limit, readOnly string) {
	t.Helper()
	if !strings.HasPrefix(s.DatabaseURL, "postgres") {
		s.Limit(t, limit)
		return
	}
	connection, err := pgx.Connect(t.Context(), s.DatabaseURL+"&default_transaction_read_only=off")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = ` + readOnly + `', current_database());
		END $$`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		_, failed := connection.Exec(t.Context(), statement)
		err = errors.Join(err, failed)
	}
	if err := errors.Join(err, connection.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// Limit sets the soft resource limits of a running server, with options of prlimit(1).
func (s *Server) Limit(t *testing.T, option string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can limit a running process")
	}
	s.MustShell(t, fmt.Sprintf("prlimit --pid %d %s", s.Process.Pid, option))
}
