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
	"gorm.io/gorm"
)

// Migrations holds the versioned SQL of each engine, in a folder by the engine's GORM name.
//
//go:embed migrations
var Migrations embed.FS

// versions is the table that tells which migrations were applied.
const versions = "schema_migrations"

// ErrNotMigrated says that the schema is older or newer than this program's.
var ErrNotMigrated = errors.New("the database's schema is not this version's")

// Migrate brings the schema up to date. Several instances may do so at once: on PostgreSQL they queue for
// an advisory lock, on SQLite the one that lost the race looks again.
func Migrate(ctx context.Context, db *gorm.DB) error {
	provider, err := migrations(db)
	if err != nil {
		return err
	}
	const tries = 20
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil || try == tries || db.Name() != "sqlite" || ctx.Err() != nil {
			break
		}
		// Each migration is one transaction, so the loser of a race fails whole and goes on after the winner.
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("migrate database: %w", plain(err))
	}
	return nil
}

// Migrated tells whether the schema is exactly the one this program was built with: nil,
// ErrNotMigrated, or what kept the database from answering.
func Migrated(ctx context.Context, db *gorm.DB) error {
	provider, err := migrations(db)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	target := sources[len(sources)-1].Version
	var current int64
	if err := plain(db.WithContext(ctx).Raw("SELECT MAX(version_id) FROM " + versions).Scan(&current).Error); err != nil {
		if errors.Is(err, ErrUnavailable) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrNotMigrated, err) // no such table
	}
	if current != target {
		return fmt.Errorf("%w: it is at %d, this program at %d", ErrNotMigrated, current, target)
	}
	return nil
}

func migrations(db *gorm.DB) (*goose.Provider, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", err)
	}
	files, err := fs.Sub(Migrations, "migrations/"+db.Name())
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", err)
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{
		goose.WithTableName(versions),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
	}
	if db.Name() == "postgres" {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // looks every second, for five minutes
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
