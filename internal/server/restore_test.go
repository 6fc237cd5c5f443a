package server_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// installation is a server with a data folder, as without a database URL.
type installation struct {
	*servertest.Server

	config server.Config // of its commands
}

func newInstallation(t *testing.T) installation {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	return startIn(t, folder)
}

func startIn(t *testing.T, folder string) installation {
	t.Helper()
	s := servertest.StartOn(t, databasetest.SQLite, "sqlite:"+filepath.Join(folder, "sesame.db"),
		servertest.Options{EmailVerification: auth.VerificationOptional})
	config := s.Config
	config.DatabaseURL, config.DataDir = "", folder
	return installation{s, config}
}

func (i installation) backup(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "backup.db")
	if _, err := server.Backup(t.Context(), i.config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// restore restores a backup on another machine, and starts the server there.
func (i installation) restore(t *testing.T, backup string, keepSessions bool) installation {
	t.Helper()
	config := i.config
	config.DataDir = filepath.Join(t.TempDir(), "new", "data")
	if _, err := server.Restore(t.Context(), config, backup, keepSessions); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		"": fs.ModeDir | 0o700, "..": fs.ModeDir | 0o700, "sesame.db": 0o600,
	} {
		if info, err := os.Stat(filepath.Join(config.DataDir, path)); err != nil || info.Mode() != want {
			t.Errorf("%q: %v, %v", path, info, err)
		}
	}
	if files := filesOf(t, config.DataDir); len(files) != 1 {
		t.Errorf("the data folder has %d files", len(files))
	}
	return startIn(t, config.DataDir)
}

// filesOf returns the contents of all files below a folder, by their path.
func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		if entry.IsDir() {
			files[path] = "a folder"
			return nil
		}
		content, err := os.ReadFile(path)
		files[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func expect(t *testing.T, what string, response servertest.Response, status int) {
	t.Helper()
	if response.Status != status {
		t.Errorf("%s: %d %s, want %d", what, response.Status, response.Raw, status)
	}
}

func kid(t *testing.T, s *servertest.Server) string {
	t.Helper()
	return s.Keys.Active().Kid
}

// What was revoked or used up after the backup is not valid again: sessions, links, access tokens.
// Users log in with the passwords, apps and recovery codes of the backup.
func TestRestore(t *testing.T) {
	before := newInstallation(t)
	const ada, grace = "ada@example.com", "grace@example.com"
	before.Register(t, ada)
	before.Register(t, grace)
	verify := before.Token(t, before.Inbox(t), ada, "verify-email")
	expect(t, "verify", before.VerifyEmail(t, verify, servertest.Password), 200)
	app := before.AddApp(t, before.Login(t, ada).Access)
	loggedOut, refreshed, unused := before.Login(t, grace), before.Login(t, grace), before.Login(t, grace)
	before.ForgotPassword(t, grace)
	reset := before.Token(t, before.Inbox(t), grace, "reset-password")
	later := mail.Entry{ID: "later", Kind: "reset-link", Email: grace, DueAt: time.Now().Add(time.Hour)}
	err := before.DB.Statement(t.Context(), func(tx *gorm.DB) error { return tx.Create(&later).Error })
	if err != nil {
		t.Fatal(err)
	}

	backup := before.backup(t)
	before.Logout(t, loggedOut.Refresh)
	second := before.Refresh(t, refreshed.Refresh)
	expect(t, "reset", before.ResetPassword(t, reset, "another horse battery"), 200)

	after := before.restore(t, backup, false)
	if old := kid(t, before.Server); kid(t, after.Server) == old || len(after.Keys.JWKs()) != 1 {
		t.Errorf("the keys are %+v", after.Keys.JWKs())
	}
	for name, tokens := range map[string]servertest.Tokens{
		"logged out": loggedOut, "refreshed": refreshed, "refreshed again": second, "not used": unused,
	} {
		expect(t, name, after.Authenticate(t, tokens.Access), 401)
		expect(t, name, after.TryRefresh(t, tokens.Refresh), 401)
	}
	expect(t, "the link that was used", after.CheckEmailLink(t, reset), 401)
	expect(t, "reset with the link that was used", after.ResetPassword(t, reset, "a third horse battery"), 401)
	var waiting int64
	if err := after.DB.WithContext(t.Context()).Model(&mail.Entry{}).Count(&waiting).Error; err != nil || waiting != 0 {
		t.Errorf("%d emails, %v", waiting, err)
	}
	after.RequireActive(t, after.Login(t, grace))
	after.RequireActive(t, after.LoginWith(t, ada, app.Code(t)))
	after.RequireActive(t, after.LoginWith(t, ada, app.RecoveryCodes[0]))
	var details []string
	err = after.DB.WithContext(t.Context()).Table("audit_events").Where("kind = 'restore'").Pluck("detail", &details).Error
	if err != nil || len(details) != 1 || details[0] != "all sessions ended" {
		t.Errorf("events of the restore: %q, %v", details, err)
	}
}

// With KeepSessions, sessions are those of the backup. One that was logged out after it is valid
// again, and one that was refreshed after it ends when it is used.
func TestRestoreKeepsSessions(t *testing.T) {
	before := newInstallation(t)
	email := before.NewUser(t)
	unused, loggedOut, refreshed := before.Login(t, email), before.Login(t, email), before.Login(t, email)
	before.ForgotPassword(t, email)
	reset := before.Token(t, before.Inbox(t), email, "reset-password")
	backup := before.backup(t)
	before.Logout(t, loggedOut.Refresh)
	later := before.Refresh(t, before.Refresh(t, refreshed.Refresh).Refresh)

	after := before.restore(t, backup, true)
	if kid(t, after.Server) != kid(t, before.Server) {
		t.Error("the key was replaced")
	}
	after.RequireActive(t, unused)
	after.RequireActive(t, loggedOut)
	expect(t, "a token from after the backup", after.TryRefresh(t, later.Refresh), 401)
	after.RequireEnded(t, refreshed)
	expect(t, "a link", after.CheckEmailLink(t, reset), 401)
}

// FinishRestore does the same after pg_restore. The link to undo a change of the email still works:
// its owner may need it again.
func TestFinishRestore(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOptional})
		const ada, changed = "ada@example.com", "new@example.com"
		s.Register(t, ada)
		s.VerifyEmail(t, s.Token(t, s.Inbox(t), ada, "verify-email"), servertest.Password)
		s.ChangeEmail(t, s.Login(t, ada).Access, changed)
		confirm := s.Token(t, s.Inbox(t), changed, "confirm-email-change")
		expect(t, "confirm", s.ConfirmEmailChange(t, confirm, servertest.Password), 200)
		undo := s.Token(t, s.Inbox(t), ada, "undo-email-change")
		s.ForgotPassword(t, changed)
		reset := s.Token(t, s.Inbox(t), changed, "reset-password")
		session, key := s.Login(t, changed), kid(t, s)

		users, sessions, err := s.FinishRestore(t.Context(), true)
		if err != nil || users != 1 || sessions != 2 {
			t.Fatalf("users %d, sessions %d, %v", users, sessions, err)
		}
		expect(t, "the reset link", s.CheckEmailLink(t, reset), 401)
		session = s.RequireActive(t, session)
		if _, _, err := s.FinishRestore(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		s.RequireEnded(t, session)
		if kid(t, s) == key || len(s.Keys.JWKs()) != 1 {
			t.Errorf("the keys are %+v", s.Keys.JWKs())
		}
		expect(t, "undo", s.UndoEmailChange(t, undo), 200)
	})
}

// writeFile writes a file and returns its path.
func writeFile(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// change runs a statement on the database in a file.
func change(t *testing.T, path, statement string) {
	t.Helper()
	db, err := database.OpenExisting(t.Context(), "sqlite:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.WithContext(t.Context()).Exec(statement).Error; err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// A file that is not an intact backup for this program and this secret is not restored, and nothing is
// left behind. Neither is a good one where it would replace a database.
func TestRestoreRefuses(t *testing.T) {
	s := newInstallation(t)
	for range 50 {
		s.NewUser(t)
	}
	good, err := os.ReadFile(s.backup(t))
	if err != nil {
		t.Fatal(err)
	}
	damage := func(work func(content []byte) []byte) func(*testing.T, string, string, *server.Config) {
		return func(t *testing.T, backup, _ string, _ *server.Config) {
			writeFile(t, backup, work(bytes.Clone(good)))
		}
	}
	statement := func(statement string) func(*testing.T, string, string, *server.Config) {
		return func(t *testing.T, backup, _ string, _ *server.Config) { change(t, backup, statement) }
	}
	create := func(name string) func(*testing.T, string, string, *server.Config) {
		return func(t *testing.T, _, data string, _ *server.Config) {
			if err := os.MkdirAll(data, 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(data, name), []byte("precious"))
		}
	}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, backup, data string, config *server.Config)
		want    string
	}{
		"no file": {func(t *testing.T, backup, _ string, _ *server.Config) {
			if err := os.Remove(backup); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		"an empty file":    {damage(func([]byte) []byte { return nil }), "not a database of Sesame"},
		"another file":     {damage(func([]byte) []byte { return bytes.Repeat([]byte("canary "), 1000) }), "damaged"},
		"half a page":      {damage(func(c []byte) []byte { return c[:2000] }), "damaged"},
		"half of the file": {damage(func(c []byte) []byte { return c[:len(c)/2/4096*4096] }), "damaged"},
		"without the end":  {damage(func(c []byte) []byte { return c[:len(c)-4096] }), "damaged"},
		"a page of zeros":  {damage(func(c []byte) []byte { clear(c[len(c)-8192 : len(c)-4096]); return c }), "damaged"},
		"another database": {statement("DROP TABLE schema_migrations"), "not a database of Sesame"},
		"a newer schema": {
			statement("UPDATE schema_migrations SET version_id = 9 WHERE version_id = 5"), "newer version",
		},
		"rows without a user": {statement("PRAGMA foreign_keys = 0; DELETE FROM users"), "refer to rows of users"},
		"a database in use": {func(t *testing.T, backup, _ string, _ *server.Config) {
			writeFile(t, backup+"-wal", []byte("log"))
		}, "a database in use and not a backup"},
		"a hot journal": {func(t *testing.T, backup, _ string, _ *server.Config) {
			writeFile(t, backup+"-journal", []byte("log"))
		}, "a database in use and not a backup"},
		"another secret": {func(_ *testing.T, _, _ string, config *server.Config) {
			config.Secret = secret.Secret(bytes.Repeat([]byte{7}, 32))
		}, "is not the one this database was created with"},
		"no secret": {func(_ *testing.T, _, _ string, config *server.Config) {
			config.Secret = nil
		}, "secret is missing"},
		"an existing database":   {create("sesame.db"), "exists, and is not replaced"},
		"a log that is left":     {create("sesame.db-wal"), "exists, and is not replaced"},
		"an index that is left":  {create("sesame.db-shm"), "exists, and is not replaced"},
		"a journal that is left": {create("sesame.db-journal"), "exists, and is not replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			backup, config := writeFile(t, filepath.Join(root, "backup.db"), good), s.config
			config.DataDir = filepath.Join(root, "new", "data")
			test.prepare(t, backup, config.DataDir, &config)
			before := filesOf(t, root)
			_, err := server.Restore(t.Context(), config, backup, false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			} else if strings.Contains(err.Error(), ".restore-") || strings.Contains(err.Error(), "canary") {
				t.Errorf("the error is %v", err)
			}
			after := filesOf(t, root)
			for path, content := range after {
				if before[path] != content {
					t.Errorf("%s was changed or is new", path)
				}
			}
			if len(after) != len(before) {
				t.Errorf("there were %d files, and now there are %d", len(before), len(after))
			}
		})
	}
}

// While a server uses the data folder, nothing is restored there, even if its database was removed.
func TestRestoreNextToAServer(t *testing.T) {
	s := newInstallation(t)
	backup := s.backup(t)
	config := s.config
	config.DataDir = filepath.Join(t.TempDir(), "data")
	running, err := server.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(config.DataDir, "sesame.db"+suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.Restore(t.Context(), config, backup, false); err == nil ||
		!strings.Contains(err.Error(), "a server uses the data folder") {
		t.Errorf("the error is %v", err)
	}
	if _, err := os.Stat(filepath.Join(config.DataDir, "sesame.db")); err == nil {
		t.Error("the database was restored")
	}
	if err := running.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), config, backup, false); err != nil {
		t.Errorf("after the server has stopped: %v", err)
	}
}

// A backup of an older version is migrated.
func TestRestoreMigrates(t *testing.T) {
	s := newInstallation(t)
	email := s.NewUser(t)
	backup := s.backup(t)
	for _, statement := range []string{
		"DROP TABLE totp_factors", "DROP TABLE recovery_codes", "DROP TABLE passkeys", "DROP TABLE used_challenges",
		"ALTER TABLE sessions DROP COLUMN auth_time", "ALTER TABLE sessions DROP COLUMN amr",
		"ALTER TABLE sessions DROP COLUMN passkey_id", "ALTER TABLE previous_emails DROP COLUMN changed_at",
		"DELETE FROM schema_migrations WHERE version_id = 5",
	} {
		change(t, backup, statement)
	}
	config := s.config
	config.DataDir = filepath.Join(t.TempDir(), "data")
	restored, err := server.Restore(t.Context(), config, backup, false)
	if err != nil || len(restored.Applied) != 1 || restored.Users != 1 {
		t.Fatalf("%+v, %v", restored, err)
	}
	after := startIn(t, config.DataDir)
	after.RequireActive(t, after.Login(t, email))
}
