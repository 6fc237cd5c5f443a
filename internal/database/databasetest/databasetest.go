// Package databasetest creates a separate database for each test, on both engines.
//
// A package with such tests calls Main from its TestMain:
//
//	func TestMain(m *testing.M) { databasetest.Main(m) }
//
// Main uses the PostgreSQL server at SESAME_TEST_POSTGRES_URL, whose user must be allowed to create
// databases. If the variable is not set, Main starts a throwaway server for the tests of the
// package. Without PostgreSQL, tests fail with an error that says what to install; they are never
// skipped.
//
// The migrations run once, in a template database, and each test gets a copy of it. The server at
// SESAME_TEST_POSTGRES_URL keeps the templates for the next run, one for each version of the
// migrations.
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

// An Engine is a database engine.
type Engine string

// The engines that Sesame supports.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Engines contains the engines that every integration test runs on.
var Engines = []Engine{SQLite, Postgres}

// timeout limits how long creating one database may take.
const timeout = time.Minute

const postgresVariable = "SESAME_TEST_POSTGRES_URL"

// Main runs the tests with a PostgreSQL server and exits.
func Main(m *testing.M) {
	os.Exit(Run(m))
}

// Run is like Main, but returns the exit status, for a TestMain that cleans up after the tests.
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
	each(t, Engines, test)
}

// EachLong is like Each, but with -short only for SQLite. It is for tests that see a server only from
// outside, with a browser, a client or another program, and take long.
func EachLong(t *testing.T, test func(t *testing.T, engine Engine)) {
	t.Helper()
	engines := Engines
	if testing.Short() {
		engines = []Engine{SQLite}
	}
	each(t, engines, test)
}

func each(t *testing.T, engines []Engine, test func(t *testing.T, engine Engine)) {
	t.Helper()
	for _, engine := range engines {
		t.Run(string(engine), func(t *testing.T) {
			t.Parallel()
			test(t, engine)
		})
	}
}

// New opens a migrated database without rows. The database is closed and deleted after the test.
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

// URL returns the URL of a migrated database without rows, for tests that open it themselves or
// more than once. The database is deleted after the test, even if it is still open.
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

// Empty returns the URL of a database without tables, for the tests of the migrations.
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
