package databasetest

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sesame-auth/sesame/internal/database"
)

func TestMain(m *testing.M) { Main(m) }

func TestDatabasesAreMigratedAndSeparate(t *testing.T) {
	Each(t, func(t *testing.T, engine Engine) {
		first, second := New(t, engine), New(t, engine)
		for _, db := range []*database.DB{first, second} {
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// With its own table, the test does not depend on the schema.
		for _, db := range []*database.DB{first, second} {
			exec(t, db, "CREATE TABLE visits (visitor TEXT)")
		}
		exec(t, first, "INSERT INTO visits VALUES ('first')")
		if got := count(t, first); got != 1 {
			t.Errorf("the first database has %d rows, want 1", got)
		}
		if got := count(t, second); got != 0 {
			t.Errorf("the second database has %d rows of the first one", got)
		}
	})
}

func TestURLNamesOneDatabase(t *testing.T) {
	Each(t, func(t *testing.T, engine Engine) {
		databaseURL := URL(t, engine)
		one, other := open(t, databaseURL), open(t, databaseURL)
		exec(t, one, "CREATE TABLE visits (visitor TEXT)")
		exec(t, one, "INSERT INTO visits VALUES ('one')")
		if got := count(t, other); got != 1 {
			t.Errorf("another connection sees %d rows, want 1", got)
		}
	})
}

func TestEmptyHasNoTables(t *testing.T) {
	Each(t, func(t *testing.T, engine Engine) {
		tables := Tables(t, open(t, Empty(t, engine)))
		if len(tables) > 0 {
			t.Errorf("an empty database has the tables %q", tables)
		}
	})
}

func TestDatabasesAreDeletedAfterTheTest(t *testing.T) {
	for _, engine := range Engines {
		var left *database.DB
		var databaseURL string
		t.Run(string(engine), func(t *testing.T) {
			databaseURL = URL(t, engine)
			var err error
			if left, err = database.Open(t.Context(), databaseURL); err != nil {
				t.Fatal(err)
			}
		})
		_ = left.Close() // fails if its connections were closed by the deletion
		switch engine {
		case SQLite:
			folder := filepath.Dir(strings.TrimPrefix(databaseURL, "sqlite:"))
			if _, err := os.Stat(folder); err == nil {
				t.Errorf("%s still exists", folder)
			}
		case Postgres:
			if db, err := database.Open(t.Context(), databaseURL); err == nil {
				_ = db.Close()
				t.Errorf("%s still exists", databaseURL)
			}
		}
	}
}

func TestTemplateIsRecreatedAfterACrash(t *testing.T) {
	admin, err := pgx.Connect(t.Context(), os.Getenv(postgresVariable))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(t.Context()) }()
	name := databasePrefix + "crashed_" + strings.ToLower(rand.Text())
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, statement := range []string{"ALTER DATABASE " + name + " IS_TEMPLATE false", "DROP DATABASE " + name} {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Error(err)
			}
		}
	}()

	if err := makePostgresTemplate(t.Context(), admin, name); err != nil {
		t.Fatal(err)
	}
	if err := open(t, createPostgres(t, name)).CheckSchema(t.Context()); err != nil {
		t.Errorf("a copy of the template: %v", err)
	}
}

func open(t *testing.T, databaseURL string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t *testing.T, db *database.DB, statement string) {
	t.Helper()
	if err := db.WithContext(t.Context()).Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *database.DB) (rows int) {
	t.Helper()
	if err := db.WithContext(t.Context()).Raw("SELECT count(*) FROM visits").Scan(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}
