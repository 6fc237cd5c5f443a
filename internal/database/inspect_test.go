package database_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// CanWrite notices what Check notices, and stores nothing: not even the same value again.
func TestCanWrite(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.URL(t, engine)
		db, err := database.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := db.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		stored := func() (text string) {
			t.Helper()
			if engine == databasetest.SQLite {
				log, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:") + "-wal")
				if err != nil || len(log) == 0 {
					t.Fatalf("%d bytes in the write-ahead log: %v", len(log), err)
				}
				return string(log)
			}
			err := db.WithContext(t.Context()).Raw("SELECT CAST(xmin AS text) FROM health").Row().Scan(&text)
			if err != nil {
				t.Fatal(err)
			}
			return text // of the transaction that stored the row
		}
		before := stored()
		if err := db.CanWrite(t.Context()); err != nil {
			t.Error(err)
		}
		if stored() != before {
			t.Error("CanWrite stored something")
		}
		if err := db.WithContext(t.Context()).Exec("DROP TABLE health").Error; err != nil {
			t.Fatal(err)
		}
		if err := db.CanWrite(t.Context()); err == nil {
			t.Error("the table does not exist, and CanWrite succeeds")
		}
	})
}

// After a crash, OpenUnchanged reads what is only in the write-ahead log of SQLite, and leaves it
// there.
func TestOpenUnchanged(t *testing.T) {
	source := strings.TrimPrefix(databasetest.URL(t, databasetest.SQLite), "sqlite:")
	running, err := database.Open(t.Context(), "sqlite:"+source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	if err := running.WithContext(t.Context()).Exec("CREATE TABLE made_last (x)").Error; err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "sesame.db")
	read := func(path string) []byte {
		t.Helper()
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.WriteFile(crashed+suffix, read(source+suffix), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, log := read(crashed), read(crashed+"-wal")
	for range 2 {
		db, err := database.OpenUnchanged(t.Context(), "sqlite:"+crashed)
		if err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := db.WithContext(t.Context()).Raw("SELECT COUNT(*) FROM made_last").Scan(&rows).Error; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if !bytes.Equal(file, read(crashed)) || !bytes.Equal(log, read(crashed+"-wal")) {
			t.Fatal("the database was changed")
		}
	}
	_, err = database.OpenUnchanged(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "none.db"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database that does not exist: %v", err)
	}
}

func TestFacts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		facts, err := db.Facts(t.Context(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if engine == databasetest.SQLite {
			if facts.Bytes == 0 || !strings.HasPrefix(facts.Version, "3.") {
				t.Errorf("%+v", facts)
			}
			return
		}
		if facts.Major < 14 || !strings.HasPrefix(facts.Version, facts.Version[:2]) || facts.RoundTrip <= 0 ||
			facts.ClockAhead.Abs() > time.Second || !facts.Local || facts.TLS != "" || facts.Pooler ||
			facts.PoolSize != 20 || facts.Connections < 20 || facts.OpenConnections < 1 {
			t.Errorf("%+v", facts)
		}
	})
}
