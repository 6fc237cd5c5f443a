package main

import (
	"os"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A signal stops a copy between two batches. The same command then continues.
func TestInterruptedCopy(t *testing.T) {
	server, destination, arguments := oneUserToCopy(t)
	var output strings.Builder
	command := server.Command(t, arguments...)
	command.Stderr = &output
	err := destination.Transaction(t.Context(), func(tx *gorm.DB) error {
		if err := tx.Exec("LOCK TABLE audit_events IN EXCLUSIVE MODE").Error; err != nil { // writing must wait
			return err
		}
		if err := command.Start(); err != nil {
			return err
		}
		processtest.Eventually(t, "the users are copied", func() bool { return countUsers(t, destination) == 1 })
		if err := command.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = command.Wait() // checked below
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if status := command.ProcessState.ExitCode(); status != 1 ||
		!strings.Contains(output.String(), "sesame: stopped; run the same command again to continue: ") {
		t.Errorf("after the signal, the status is %d:\n%s", status, &output)
	}

	status, stdout, stderr := server.Run(t, "", arguments...)
	if status != 0 || strings.Contains(stdout, "different") {
		t.Errorf("the command does not continue: status %d\n%s%s", status, stdout, stderr)
	}
}

// oneUserToCopy returns an installation with SQLite and one user, an empty database of PostgreSQL, and
// the command that copies the user there.
func oneUserToCopy(t *testing.T) (server *processtest.Server, destination *database.DB, arguments []string) {
	t.Helper()
	server = processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	server.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
	to := databasetest.URL(t, databasetest.Postgres)
	destination, err := database.Open(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = destination.Close() })
	return server, destination, []string{"db", "copy", "--from", "sesame-data", "--to", to}
}

func countUsers(t *testing.T, db *database.DB) (users int) {
	t.Helper()
	if err := db.WithContext(t.Context()).Raw("SELECT COUNT(*) FROM users").Scan(&users).Error; err != nil {
		t.Fatal(err)
	}
	return users
}

// A change of the destination during the copy is reported, with the status 1. The same command repairs
// it.
func TestCopyReportsDifferences(t *testing.T) {
	server, destination, arguments := oneUserToCopy(t)
	// PostgreSQL changes a value while it is inserted, as a server could a moment later.
	exec := func(statement string) {
		t.Helper()
		err := destination.Transaction(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement).Error })
		if err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.bio = 'changed'; RETURN NEW; END $$`)
	exec("CREATE TRIGGER change BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION change()")
	status, stdout, stderr := server.Run(t, "", arguments...)
	if status != 1 || !strings.Contains(stdout, "different: 1 rows, ") || strings.Count(stdout, "different") != 1 ||
		!strings.Contains(stderr, "the databases differ: ") || !strings.Contains(stderr, "run the same command again") {
		t.Errorf("a difference: status %d\n%s%s", status, stdout, stderr)
	}
	exec("DROP TRIGGER change ON users")
	if status, stdout, stderr = server.Run(t, "", arguments...); status != 0 || strings.Contains(stdout, "different") {
		t.Errorf("after the repair: status %d\n%s%s", status, stdout, stderr)
	}
}

// On a terminal, a copy shows its progress, which is not part of the result.
func TestCopyOnTerminal(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.MustRun(t, "", "migrate")
	if status, _, stderr := server.Run(t, "", "users", "import", writeUsers(t, 3000)); status != 0 {
		t.Fatalf("import: %s", stderr)
	}
	s := onScreen(t, server, "db", "copy", "--from", "sesame-data", "--to", "other")
	s.end(t, 0)
	if shown := s.text(); !strings.Contains(shown, "copying ") || !strings.Contains(shown, "comparing ") ||
		strings.Contains(shown, "users: 3000 rows") || !strings.Contains(shown, "rows a second).\r\n") {
		t.Errorf("shown\n%q", shown)
	}
	if strings.Contains(s.stdout.String(), "copying") {
		t.Errorf("the result contains the progress:\n%s", s.stdout.String())
	}
}
