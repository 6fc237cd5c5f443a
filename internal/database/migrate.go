package database

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrations contains the SQL migrations, in one folder for each engine.
//
//go:embed migrations
var Migrations embed.FS

// versions is the table of the applied migrations.
const versions = "schema_migrations"

// ErrSchema is returned if this program cannot use the schema of the database.
var ErrSchema = errors.New("the schema of the database does not match this version of Sesame")

// Migrate applies the migrations that are missing. Several instances may call it at the same time:
// on PostgreSQL they queue for an advisory lock, on SQLite the one that loses the race tries again.
//
// It changes nothing if the database has newer migrations that are all additive, and returns
// ErrSchema if one of them is not, or if they are from before the first release.
func (db *DB) Migrate(ctx context.Context) error {
	schema, err := db.Schema(ctx)
	if err != nil {
		return fmt.Errorf("migrate database: %w", err)
	}
	if len(schema.Pending()) == 0 {
		return schema.Check()
	}
	if schema.newer() {
		return schema.errNewer()
	}
	provider, err := db.migrations()
	if err != nil {
		return err
	}
	const tries = 20
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil || try == tries || db.Engine() != "sqlite" || ctx.Err() != nil {
			break
		}
		// Each migration is one transaction. The instance that loses a race applies nothing, and
		// continues here.
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("migrate database: %w", db.explain(plain(err)))
	}
	return nil
}

// CheckSchema returns nil if this program can use the schema, and ErrSchema or ErrUnavailable
// otherwise.
func (db *DB) CheckSchema(ctx context.Context) error {
	schema, err := db.Schema(ctx)
	if err != nil {
		return err
	}
	return schema.Check()
}

func (db *DB) migrations() (*goose.Provider, error) {
	pool, err := db.gorm.DB()
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", err)
	}
	files, err := fs.Sub(Migrations, "migrations/"+db.Engine())
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{
		goose.WithTableName(versions),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
	}
	if db.Engine() == "postgres" {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // tries every second, for five minutes
		if err != nil {
			return nil, fmt.Errorf("migrate database: %w", err)
		}
		dialect, options = goose.DialectPostgres, append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", plain(err))
	}
	return provider, nil
}
