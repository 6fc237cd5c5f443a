// Package databasetest gives each test a database of its own, on both engines.
//
// A package with such tests hands its TestMain to Main:
//
//	func TestMain(m *testing.M) { databasetest.Main(m) }
//
// PostgreSQL is the server at SESAME_TEST_POSTGRES_URL, whose user must be
// allowed to create databases, or else a throwaway cluster that lives as long as
// the package's tests. A test never skips for want of PostgreSQL: it fails and
// says what to do.
//
// The schema is migrated once into a template, which each test's database is a
// copy of. On a server that stays, the templates stay too, one for each version
// of the migrations, for the next run.
package databasetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
)

// An Engine is a kind of database.
type Engine string

// The engines that Sesame runs on.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Engines are those every integration test runs on.
var Engines = []Engine{SQLite, Postgres}

// timeout bounds the making of one database.
const timeout = time.Minute

const postgresVariable = "SESAME_TEST_POSTGRES_URL"

// Main runs the tests with PostgreSQL at hand and exits.
func Main(m *testing.M) {
	os.Exit(Run(m))
}

// Run is Main for a TestMain with something to do after the tests: it returns
// the exit status.
func Run(m *testing.M) (status int) {
	if os.Getenv(postgresVariable) != "" {
		return m.Run()
	}
	postgres, err := cluster.Start(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "PostgreSQL for the tests:", err)
		return 1
	}
	defer func() {
		if err := postgres.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "PostgreSQL for the tests:", err)
			status = max(status, 1)
		}
	}()
	if err := os.Setenv(postgresVariable, postgres.URL); err != nil {
		fmt.Fprintln(os.Stderr, "PostgreSQL for the tests:", err)
		return 1
	}
	return m.Run()
}

// Each runs test once for each engine, in parallel subtests.
func Each(t *testing.T, test func(t *testing.T, engine Engine)) {
	t.Helper()
	for _, engine := range Engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// New opens a migrated database without rows, which ends with the test.
func New(t testing.TB, engine Engine) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), URL(t, engine))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the test's database: %v", err)
		}
	})
	return db
}

// URL returns the address of a migrated database without rows, for tests that
// open it themselves, or more than once. The database is deleted with the test,
// open or not.
func URL(t testing.TB, engine Engine) string {
	t.Helper()
	switch engine {
	case SQLite:
		return migratedSQLite(t)
	case Postgres:
		return migratedPostgres(t)
	default:
		t.Fatalf("there is no engine %q", engine)
		return ""
	}
}

// Empty is URL without the migrations, for the tests of migrating.
func Empty(t testing.TB, engine Engine) string {
	t.Helper()
	switch engine {
	case SQLite:
		return "sqlite:" + filepath.Join(t.TempDir(), "sesame.db")
	case Postgres:
		return createPostgres(t, "template0")
	default:
		t.Fatalf("there is no engine %q", engine)
		return ""
	}
}
