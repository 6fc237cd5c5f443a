package databasetest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sesame-auth/sesame/internal/database"
)

const databasePrefix = "sesame_test_"

// templateLock is the key of the advisory lock for creating the template: "sesame" in ASCII.
const templateLock = 0x736573616d65

func migratedPostgres(t testing.TB) string {
	t.Helper()
	requirePostgres(t)
	template, err := postgresTemplate()
	if err != nil {
		t.Fatalf("make PostgreSQL's template database: %v", err)
	}
	return createPostgres(t, template)
}

func requirePostgres(t testing.TB) {
	t.Helper()
	if os.Getenv(postgresVariable) == "" {
		t.Fatalf("no PostgreSQL: give the package a TestMain that calls databasetest.Main, or set %s", postgresVariable)
	}
}

// createPostgres returns the URL of a copy of template, which is deleted after the test.
func createPostgres(t testing.TB, template string) string {
	t.Helper()
	requirePostgres(t)
	name := databasePrefix + strings.ToLower(rand.Text())
	databaseURL, err := postgresURL(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if err := admin.run(ctx, copying(template, name)); err != nil {
		t.Fatalf("create a PostgreSQL database: %v", err)
	}
	t.Cleanup(func() {
		// The context of the test is already canceled.
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := admin.run(ctx, func(*pgx.Conn) string { return "DROP DATABASE " + name + " WITH (FORCE)" }); err != nil {
			t.Errorf("delete the test's PostgreSQL database: %v", err)
		}
	})
	return databaseURL
}

// postgresTemplate returns the name of the migrated template. The first process that gets the lock
// creates it.
var postgresTemplate = sync.OnceValues(func() (name string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	digest, err := migrationsDigest()
	if err != nil {
		return "", err
	}
	name = databasePrefix + "template_" + digest

	admin, err := pgx.Connect(ctx, os.Getenv(postgresVariable))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, admin.Close(ctx)) }() // also releases the lock
	if _, err := admin.Exec(ctx, "SELECT pg_advisory_lock($1)", templateLock); err != nil {
		return "", err
	}
	var exists bool
	query := "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)"
	if err := admin.QueryRow(ctx, query, name).Scan(&exists); err != nil {
		return "", err
	}
	if exists {
		return name, nil
	}
	return name, makePostgresTemplate(ctx, admin, name)
})

// makePostgresTemplate creates a migrated database. Its last step marks the database as a template,
// so a database that a killed process left unfinished is created again. It also forbids connections
// to the template, because PostgreSQL does not copy a database that is in use.
func makePostgresTemplate(ctx context.Context, admin *pgx.Conn, name string) error {
	databaseURL, err := postgresURL(name)
	if err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		return err
	}
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		return err
	}
	if err := migrate(ctx, databaseURL); err != nil {
		return err
	}
	_, err = admin.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}

// migrate runs the migrations on the database at databaseURL.
func migrate(ctx context.Context, databaseURL string) (err error) {
	db, err := database.Open(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Migrate(ctx)
}

// admin is the connection to the server at SESAME_TEST_POSTGRES_URL that creates and drops
// databases. All tests of a process share it: a new one would take longer than what it does.
var admin administrator

type administrator struct {
	mu   sync.Mutex
	conn *pgx.Conn // nil before the first use, and closed after a time-out
}

// run executes the statement that the function returns.
func (a *administrator) run(ctx context.Context, statement func(*pgx.Conn) string) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil || a.conn.IsClosed() {
		if a.conn, err = pgx.Connect(ctx, os.Getenv(postgresVariable)); err != nil {
			return err
		}
	}
	_, err = a.conn.Exec(ctx, statement(a.conn))
	return err
}

// copying returns the statement that creates a database as a copy of template.
func copying(template, name string) func(*pgx.Conn) string {
	return func(conn *pgx.Conn) string {
		statement := "CREATE DATABASE " + name + " TEMPLATE " + template
		if strings.HasPrefix(conn.PgConn().ParameterStatus("server_version"), "14.") {
			return statement // it always copies the files
		}
		return statement + " STRATEGY FILE_COPY" // faster for a small database
	}
}

// postgresURL returns the server's URL with the database replaced by name.
func postgresURL(name string) (string, error) {
	server, err := url.Parse(os.Getenv(postgresVariable))
	if err != nil || (server.Scheme != "postgres" && server.Scheme != "postgresql") {
		return "", fmt.Errorf("%s must be a URL, postgres://user:password@host:port/database", postgresVariable)
	}
	server.Path = "/" + name
	return server.String(), nil
}

// migrationsDigest returns a digest of the migrations. It is part of the template's name, so
// changed migrations get a new template.
func migrationsDigest() (string, error) {
	digest := sha256.New()
	err := fs.WalkDir(database.Migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := database.Migrations.ReadFile(path)
		_, _ = fmt.Fprintf(digest, "%q %q\n", path, content)
		return err
	})
	return fmt.Sprintf("%x", digest.Sum(nil)[:8]), err
}
