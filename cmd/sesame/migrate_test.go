package main

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// commands contains a command line for each command that uses the database, except serve and
// migrate.
var commands = [][]string{
	{"users", "list"},
	{"users", "show", "ada@example.com"},
	{"users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password"},
	{"users", "disable", "ada@example.com"},
	{"users", "enable", "ada@example.com"},
	{"users", "verify", "ada@example.com"},
	{"users", "unverify", "ada@example.com"},
	{"users", "set-password", "--password-stdin", "ada@example.com"},
	{"users", "revoke-sessions", "--all"},
	{"users", "reset-link", "ada@example.com"},
	{"users", "delete", "--yes", "ada@example.com"},
	{"users", "import", "-"},
	{"audit"},
	{"keys", "list"},
	{"keys", "rotate"},
	{"keys", "revoke", "a-kid"},
}

// expectRefused fails the test if a command does not fail with this message.
func expectRefused(t *testing.T, server *processtest.Server, message string, args ...string) {
	t.Helper()
	status, stdout, stderr := server.Run(t, "correct horse battery", args...)
	if status != 1 || stdout != "" && args[0] != "migrate" || !strings.Contains(stderr, message) {
		t.Errorf("sesame %q: status %d\n%s%s, want %q", args, status, stdout, stderr, message)
	}
}

// Commands refuse a database that was not migrated yet, and do not migrate it. The next start does.
func TestOlderSchema(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.MustRun(t, "", "migrate")
		execute(t, server, "DROP TABLE totp_factors", "DROP TABLE recovery_codes", "DROP TABLE passkeys",
			"DROP TABLE used_challenges", "ALTER TABLE sessions DROP COLUMN auth_time",
			"ALTER TABLE sessions DROP COLUMN amr", "ALTER TABLE sessions DROP COLUMN passkey_id",
			"ALTER TABLE users DROP COLUMN email_verified_at",
			"ALTER TABLE one_time_tokens DROP COLUMN email", "ALTER TABLE outbox DROP COLUMN user_id",
			"DROP TABLE previous_emails", "DROP INDEX sessions_user_idx",
			"CREATE INDEX sessions_user_id_idx ON sessions (user_id)",
			"CREATE INDEX sessions_expires_at_idx ON sessions (expires_at)",
			"DROP INDEX one_time_tokens_expires_at_idx", "DROP INDEX audit_events_kind_idx",
			"DELETE FROM additive_migrations WHERE version_id = 4",
			"DELETE FROM schema_migrations WHERE version_id IN (3, 4, 5)")
		for _, args := range append(slices.Clone(commands), []string{"migrate", "--status"}) {
			expectRefused(t, server, "it is at version 2, and this program needs version 5: "+
				"start a server of this version, or run sesame migrate", args...)
		}
		if _, stdout, _ := server.Run(t, "", "migrate", "--status"); !strings.Contains(stdout, "3        pending") {
			t.Errorf("status:\n%s", stdout)
		}
		server.Start(t)
		server.Login(t)
		server.MustRun(t, "", "migrate", "--status")
	})
}

// An additive migration by a newer version leaves a server of this version ready, and lets another
// one start: servers can be replaced one after the other, and the replacement can be undone. Any
// other migration does not.
func TestNewerSchema(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		server.Login(t)
		execute(t, server, "ALTER TABLE users ADD COLUMN nickname TEXT",
			"INSERT INTO schema_migrations (version_id, is_applied) VALUES (1000, true)",
			"INSERT INTO additive_migrations (version_id) VALUES (1000)")
		awaitChecks(t, server)
		if !server.IsReady(t.Context()) {
			t.Error("not ready after an additive migration")
		}
		if status := register(t, server, "grace@example.com"); status != http.StatusCreated {
			t.Errorf("register: %d", status)
		}
		if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		server.Start(t)
		server.Login(t)
		server.MustRun(t, "", "users", "show", "grace@example.com")
		server.MustRun(t, "", "users", "disable", "grace@example.com")
		if status := server.MustRun(t, "", "migrate", "--status"); !strings.Contains(status,
			"1000     applied (additive)  (of another version of Sesame)") {
			t.Errorf("status:\n%s", status)
		}

		execute(t, server, "INSERT INTO schema_migrations (version_id, is_applied) VALUES (1001, true)")
		awaitReadiness(t, server, false)
		if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		all := append(slices.Clone(commands), []string{"migrate", "--status"}, []string{"migrate"}, []string{"serve"})
		for _, args := range all {
			expectRefused(t, server, "it is at version 1001 and this program knows versions up to 5; "+
				"it was migrated by a newer version of Sesame", args...)
		}
	})
}

// awaitChecks waits until a check of the database has begun and ended.
func awaitChecks(t *testing.T, server *processtest.Server) {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var first time.Time
	changes := 0
	processtest.Eventually(t, "the database was checked twice", func() bool {
		var now time.Time
		if err := db.WithContext(t.Context()).Raw("SELECT checked_at FROM health").Scan(&now).Error; err != nil {
			t.Fatal(err)
		}
		if !now.Equal(first) {
			first = now
			changes++
		}
		return changes == 3 // the first one is from before
	})
}
