package doctor_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/secret"
)

func readSecret(t *testing.T, text string) secret.Secret {
	t.Helper()
	parsed, err := secret.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestExposedFiles(t *testing.T) {
	d := started(t, databasetest.SQLite)
	if err := os.Chmod(d.SecretFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	require(t, d, "data-folder", doctor.Warning, d.SecretFile()+" (mode 0644)", "chmod go=")
}

func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	d := started(t, databasetest.SQLite)
	if err := os.Chown(d.SecretFile(), 65534, -1); err != nil {
		t.Fatal(err)
	}
	require(t, d, "data-folder", doctor.Error, "secret belongs to user 65534, and the folder to user 0", "chown -R 0")
}

func TestSchemas(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		const newer = "INSERT INTO schema_migrations (version_id, is_applied) VALUES (99, TRUE)"
		execute(t, d, newer)
		findings := require(t, d, "schema", doctor.Error, "at version 99", "upgrade sesame")
		if strings.Contains(strings.Join(names(findings, doctor.Error), " "), "writes") {
			t.Error("the check of writes does not need the schema")
		}
		execute(t, d, "INSERT INTO additive_migrations (version_id) VALUES (99)")
		require(t, d, "schema", doctor.OK, "at version 99", "")
		execute(t, d, "DELETE FROM schema_migrations WHERE version_id > 4")
		require(t, d, "schema", doctor.Error, "at version 4", "sesame migrate")
		require(t, d, "clock", doctor.Skipped, "needs the check schema", "")

		empty := newDeployment(t, engine)
		empty.DatabaseURL = ""
		if engine == databasetest.Postgres {
			empty.DatabaseURL = databasetest.Empty(t, engine)
		} else if err := os.MkdirAll(empty.DataDir, 0o700); err != nil {
			t.Fatal(err)
		} else if err := os.WriteFile(filepath.Join(empty.DataDir, "sesame.db"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		require(t, empty, "schema", doctor.Error, "empty", "sesame migrate")
	})
}

func TestDatabaseRefusesWrites(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		if engine == databasetest.Postgres {
			d.DatabaseURL += "&default_transaction_read_only=on" // as on a standby
			if !strings.Contains(d.DatabaseURL, "?") {
				d.DatabaseURL = strings.Replace(d.DatabaseURL, "&", "?", 1)
			}
			require(t, d, "database-writes", doctor.Error, "25006", "primary")
			return
		}
		execute(t, d, "CREATE TRIGGER refuse BEFORE UPDATE ON health BEGIN SELECT RAISE(ABORT, 'refused'); END")
		require(t, d, "database-writes", doctor.Error, "refused", "Make room")
	})
}

func TestDamage(t *testing.T) {
	d := started(t, databasetest.SQLite)
	path := filepath.Join(d.DataDir, "sesame.db")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	copy(content[len(content)-page:], bytes.Repeat([]byte{0xff}, page))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	require(t, d, "database-file", doctor.Error, "damaged", "restore a backup")

	if err := os.WriteFile(path, bytes.Repeat([]byte("not a database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	require(t, d, "database", doctor.Error, "damaged", "backup")
}

func TestPooler(t *testing.T) {
	d := started(t, databasetest.Postgres)
	pooler, err := cluster.StartPooler(t.Context(), d.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	if d.DatabaseURL, err = pooler.Through(d.DatabaseURL); err != nil {
		t.Fatal(err)
	}
	findings := require(t, d, "database-connections", doctor.OK, "PgBouncer", "")
	if got := names(findings, doctor.Error); got != nil {
		t.Errorf("errors: %q", got)
	}
}

func TestTooManyConnections(t *testing.T) {
	d := started(t, databasetest.Postgres)
	separator := "?"
	if strings.Contains(d.DatabaseURL, "?") {
		separator = "&"
	}
	d.DatabaseURL += separator + "pool_max_conns=100000"
	require(t, d, "database-connections", doctor.Warning, "opens up to 100000 connections", "max_connections")
}

func TestSecrets(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := newDeployment(t, engine)
		d.Secret = theSecret
		install(t, d)
		require(t, d, "secret", doctor.OK, "decrypts", "")

		d.Secret = otherSecret
		require(t, d, "secret", doctor.Error, "created with another secret", "SESAME_SECRET")

		d.PreviousSecret = theSecret
		require(t, d, "secret", doctor.Warning, "2 values in the database are encrypted with SESAME_SECRET_PREVIOUS", "Keep")

		install(t, d) // encrypts them again
		require(t, d, "secret", doctor.Warning, "nothing in the database is encrypted with it",
			"for 720h (SESAME_SESSION_TTL), remove SESAME_SECRET_PREVIOUS")

		d.PreviousSecret = nil
		require(t, d, "secret", doctor.OK, "", "")
	})
}

func TestSecretFile(t *testing.T) {
	d := started(t, databasetest.SQLite)
	if err := os.WriteFile(d.SecretFile(), []byte("canary not base64"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range require(t, d, "secret", doctor.Error, "is not base64", "openssl rand") {
		if strings.Contains(f.Detail, "canary") {
			t.Errorf("%+v", f)
		}
	}
	if err := os.Remove(d.SecretFile()); err != nil {
		t.Fatal(err)
	}
	require(t, d, "secret", doctor.Error, "is missing, and the database was created with it", "backup")
	execute(t, d, "DELETE FROM signing_keys")
	require(t, d, "secret", doctor.OK, "the first start makes a secret", "")
	require(t, d, "signing-keys", doctor.OK, "none yet", "")
}

func TestClocks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		shift := func(by time.Duration) {
			t.Helper()
			d.Now = func() time.Time { return time.Now().Add(by) }
		}
		shift(-2 * time.Hour)
		status := doctor.Warning
		if engine == databasetest.Postgres {
			status = doctor.Error
		}
		require(t, d, "clock", status, "in the future", "the clock of this machine right")
		if engine == databasetest.SQLite {
			return // nothing shows a clock that is ahead
		}
		shift(2 * time.Hour)
		require(t, d, "clock", doctor.Error, "differ by 2h0m0s", "NTP")
		shift(30 * time.Second)
		require(t, d, "clock", doctor.Warning, "differ by 30s", "NTP")
		shift(time.Second)
		require(t, d, "clock", doctor.OK, "differs from that of PostgreSQL by ", "")
	})
}

func TestSigningKeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		age := func(days int) {
			t.Helper()
			execute(t, d, "UPDATE signing_keys SET signs_from = ?", d.Now().AddDate(0, 0, -days).UTC())
		}
		age(88)
		require(t, d, "signing-keys", doctor.OK, "ES256 signs for 88 of 90 days", "")
		age(100)
		require(t, d, "signing-keys", doctor.Warning, "signs for 100 days", "sesame keys rotate")
		s := install(t, d) // publishes the next key
		require(t, d, "signing-keys", doctor.OK, s.Keys.JWKs()[0].Kid+" is published", "")
		d.SigningAlgorithm = "EdDSA"
		require(t, d, "signing-keys", doctor.Warning, "no key is for EdDSA", "Restart")
	})
}

func TestMailQueue(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := started(t, engine)
		insert := func(id string, created time.Time, dead any) {
			t.Helper()
			execute(t, d, `INSERT INTO outbox (id, kind, email, user_id, attempts, due_at, last_error, created_at, dead_at)
				VALUES (?, 'reset', 'ada@example.com', ?, 1, ?, '', ?, ?)`, id, id, created.UTC(), created.UTC(), dead)
		}
		now := d.Now()
		insert("019af000-0000-7000-8000-000000000001", now, nil)
		require(t, d, "mail-queue", doctor.OK, "emails waiting: 1", "")
		insert("019af000-0000-7000-8000-000000000002", now.Add(-time.Hour), nil)
		require(t, d, "mail-queue", doctor.Warning, "emails waiting: 2; the oldest for 1h0m", "mail-server")
		insert("019af000-0000-7000-8000-000000000003", now.Add(-48*time.Hour), now.UTC())
		require(t, d, "mail-queue", doctor.Warning, "emails given up: 1", "sesame mail list --dead")
	})
}
