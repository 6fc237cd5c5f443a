package database_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// Check succeeds, again and again, and while other instances check the same database.
func TestCheck(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.URL(t, engine)
		one, other := open(t, url), open(t, url)
		for range 3 {
			for _, db := range []*database.DB{one, other} {
				if err := db.Check(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		if err := one.WithContext(t.Context()).Exec("DROP TABLE health").Error; err != nil {
			t.Fatal(err)
		}
		if err := one.Check(t.Context()); err == nil {
			t.Error("a check that cannot write succeeds")
		}
	})
}

// Check writes a temporary file on PostgreSQL, which fails on a full disk. A limit on such files is
// no full disk.
func TestCheckWritesTemporaryFile(t *testing.T) {
	db := databasetest.New(t, databasetest.Postgres)
	written := func() (bytes int64) {
		t.Helper()
		sql := db.WithContext(t.Context())
		// The statistics of this connection are sent. PostgreSQL 14 does that by itself, twice a second.
		_ = sql.Exec("SELECT pg_stat_force_next_flush()").Error
		query := "SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()"
		if err := sql.Raw(query).Scan(&bytes).Error; err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	if pools, err := db.Pools(); err != nil {
		t.Fatal(err)
	} else {
		pools["postgres"].SetMaxOpenConns(1) // so that all statements are in one session
	}
	if err := db.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); written() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the check writes no temporary file")
		}
	}
	if err := db.WithContext(t.Context()).Exec("SET temp_file_limit = 0").Error; err != nil {
		t.Fatal(err)
	}
	if err := db.Check(t.Context()); err != nil {
		t.Errorf("with a limit on temporary files: %v", err)
	}
}

// After the file of an SQLite database, its write-ahead log or its folder was removed or replaced,
// no change is confirmed.
func TestRemovedFileConfirmsNothing(t *testing.T) {
	removals := map[string]func(path string) error{
		"the file":   os.Remove,
		"the log":    func(path string) error { return os.Remove(path + "-wal") },
		"the folder": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"a replaced file": func(path string) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(path+".copy", content, 0o600), os.Rename(path+".copy", path))
		},
	}
	changes := map[string]func(db *database.DB) error{
		"transaction": func(db *database.DB) error {
			return db.Transaction(t.Context(), func(tx *gorm.DB) error { return tx.Create(newUser("a@example.com")).Error })
		},
		"statement": func(db *database.DB) error {
			return db.Statement(t.Context(), func(db *gorm.DB) error { return db.Create(newUser("a@example.com")).Error })
		},
		"check": func(db *database.DB) error { return db.Check(t.Context()) },
	}
	for what, remove := range removals {
		for name, change := range changes {
			folder := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(folder, "sesame.db")
			db := open(t, "sqlite:"+path)
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := changes["check"](db); err != nil {
				t.Fatal(err)
			}
			if err := remove(path); err != nil {
				t.Fatal(err)
			}
			if err := change(db); !errors.Is(err, database.ErrUnavailable) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s after %s was removed: %v", name, what, err)
			}
		}
	}
}

// A file that is not an SQLite database, or a damaged one, is named in the error.
func TestDamagedFile(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"another file":  func([]byte) []byte { return []byte(strings.Repeat("not a database ", 100)) },
		"half a header": func(content []byte) []byte { return content[:50] },
		"zeros":         func(content []byte) []byte { return make([]byte, len(content)) },
		"half a schema": func(content []byte) []byte { return append(content[:200], make([]byte, len(content)-200)...) },
	} {
		path := strings.TrimPrefix(databasetest.URL(t, databasetest.SQLite), "sqlite:")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(content), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := database.Open(t.Context(), "sqlite:"+path)
		if err == nil {
			err = errors.Join(db.Migrate(t.Context()), db.Close())
		}
		if err == nil || !strings.Contains(err.Error(), path+" is damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// OpenExisting creates no file.
func TestOpenExisting(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "sesame.db")
	if _, err := database.OpenExisting(t.Context(), "sqlite:"+missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the file was created")
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db, err := database.OpenExisting(t.Context(), databasetest.URL(t, engine))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.CheckSchema(t.Context()), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Reading the schema creates no table, also in an empty database.
func TestSchemaChangesNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := open(t, databasetest.Empty(t, engine))
		schema, err := db.Schema(t.Context())
		if err != nil || len(schema.Pending()) != len(schema.Migrations) || !errors.Is(schema.Check(), database.ErrSchema) {
			t.Errorf("%+v, %v", schema, err)
		}
		if tables := databasetest.Tables(t, db); len(tables) > 0 {
			t.Errorf("created %q", tables)
		}
	})
}

// A migration that says that it is additive names itself, and is additive on both engines. It
// removes and renames nothing but indexes.
func TestAdditiveMigrations(t *testing.T) {
	marks := regexp.MustCompile(`INSERT INTO additive_migrations \(version_id\) VALUES \((\d+)\);`)
	destructive := regexp.MustCompile(`(?i)\b(DROP|RENAME|DELETE|UPDATE)\b`)
	additive := make(map[string]int)
	err := fs.WalkDir(database.Migrations, "migrations", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(database.Migrations, path)
		if err != nil {
			return err
		}
		for _, mark := range marks.FindAllSubmatch(content, -1) {
			additive[entry.Name()]++
			version, err := goose.NumericComponent(entry.Name())
			if err != nil || string(mark[1]) != strconv.FormatInt(version, 10) {
				t.Errorf("%s marks version %s, %v", path, mark[1], err)
			}
			statements := regexp.MustCompile(`--.*|DROP INDEX`).ReplaceAll(content, nil)
			if found := destructive.Find(statements); found != nil {
				t.Errorf("%s is marked as additive and contains %s", path, found)
			}
		}
		return nil
	})
	if err != nil || len(additive) == 0 {
		t.Fatalf("%d additive migrations, %v", len(additive), err)
	}
	for name, engines := range additive {
		if engines != len(databasetest.Engines) {
			t.Errorf("%s is marked as additive for %d engines", name, engines)
		}
	}
}
