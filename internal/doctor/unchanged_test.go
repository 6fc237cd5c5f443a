package doctor_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/server"
)

// snapshot returns a digest of each file below a folder, with its mode. It leaves out the index of
// SQLite's write-ahead log, which is not data: it is made anew after a crash.
func snapshot(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.Walk(folder, func(path string, info fs.FileInfo, err error) error {
		if err != nil || strings.HasSuffix(path, "-shm") {
			return err
		}
		content := []byte(nil)
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(path)
		}
		files[path] = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// rows returns all rows of a database as text, except for those of the health check.
func rows(t *testing.T, d *doctor.Deployment) map[string]string {
	t.Helper()
	db, err := server.OpenUnchanged(t.Context(), d.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	tables := make(map[string]string)
	for _, table := range databasetest.Tables(t, db) {
		var found []map[string]any
		if err := db.WithContext(t.Context()).Table(table).Find(&found).Error; err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(found))
		for i, row := range found {
			texts[i] = fmt.Sprint(row)
		}
		slices.Sort(texts)
		tables[table] = strings.Join(texts, "\n")
	}
	return tables
}

// requireUnchanged examines a deployment, and fails the test if that changes a byte below its folder.
func requireUnchanged(t *testing.T, d *doctor.Deployment) {
	t.Helper()
	folder := filepath.Dir(d.DataDir)
	before := snapshot(t, folder)
	examine(t, d)
	if after := snapshot(t, folder); !maps.Equal(before, after) {
		t.Errorf("the folder was\n%v\nand is\n%v", before, after)
	}
}

// The doctor creates no folder, no database and no secret, and changes not a byte of those that
// exist: after a regular end, after a crash, with an old schema, without a secret, and while the
// secret is being changed.
func TestChangesNoFile(t *testing.T) {
	requireUnchanged(t, newDeployment(t, databasetest.SQLite))

	d := started(t, databasetest.SQLite)
	requireUnchanged(t, d)

	withoutMail := newDeployment(t, databasetest.Postgres)
	withoutMail.SMTPURL = ""
	requireUnchanged(t, withoutMail)

	rotating := *d
	content, err := os.ReadFile(d.SecretFile())
	if err != nil {
		t.Fatal(err)
	}
	rotating.Secret = otherSecret
	rotating.PreviousSecret = readSecret(t, string(content))
	requireUnchanged(t, &rotating)

	if err := os.Remove(d.SecretFile()); err != nil {
		t.Fatal(err)
	}
	requireUnchanged(t, d)

	old := started(t, databasetest.SQLite)
	execute(t, old, "DELETE FROM schema_migrations WHERE version_id = (SELECT MAX(version_id) FROM schema_migrations)")
	requireUnchanged(t, old)
}

func TestChangesNoFileAfterACrash(t *testing.T) {
	running := newDeployment(t, databasetest.SQLite)
	install(t, running) // what it has written is in the write-ahead log
	crashed := newDeployment(t, databasetest.SQLite)
	if err := os.CopyFS(crashed.DataDir, os.DirFS(running.DataDir)); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(crashed.DataDir, "sesame.db-wal")
	if info, err := os.Stat(log); err != nil || info.Size() == 0 {
		t.Fatalf("there is no write-ahead log: %v", err)
	}
	for _, name := range []string{"", "secret", "sesame.db", "sesame.db-wal", "sesame.db-shm"} {
		mode := os.FileMode(0o600)
		if name == "" {
			mode = 0o700
		}
		if err := os.Chmod(filepath.Join(crashed.DataDir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	requireUnchanged(t, crashed)
	require(t, crashed, "secret", doctor.OK, "decrypts", "")
}

// The doctor changes no row, also not with a secret that the next start would encrypt everything
// with, or with keys that are due.
func TestChangesNoRow(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := newDeployment(t, engine)
		d.Secret = theSecret
		install(t, d)
		execute(t, d, "UPDATE signing_keys SET signs_from = ?", d.Now().AddDate(-1, 0, 0).UTC())
		d.Secret, d.PreviousSecret = otherSecret, theSecret
		before := rows(t, d)
		if before["signing_keys"] == "" || before["health"] == "" {
			t.Fatalf("%v", before)
		}
		examine(t, d)
		if after := rows(t, d); !maps.Equal(before, after) {
			t.Errorf("the rows were\n%v\nand are\n%v", before, after)
		}
	})
}
