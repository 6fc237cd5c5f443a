package database

import (
	"context"
	"database/sql"
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
	const races = 20
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil || try == races || db.Engine() != "sqlite" || ctx.Err() != nil {
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
		dialect, options = goose.DialectPostgres, append(options, goose.WithLocker(&migrationLock{}))
	}
	provider, err := goose.NewProvider(dialect, pool, files, options...)
	if err != nil {
		return nil, fmt.Errorf("migrate database: %w", plain(err))
	}
	return provider, nil
}

// migrationLock is an advisory lock of PostgreSQL, held by a transaction of its own. A lock of a
// session, which goose uses, would stay with a connection of the pooler if there is one.
type migrationLock struct{ tx *sql.Tx }

// migrationLockTimeout is how long an instance waits for another one that migrates.
const migrationLockTimeout = 5 * time.Minute

// Lock waits until no other instance has the lock.
func (l *migrationLock) Lock(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(context.WithoutCancel(ctx), nil) // Unlock ends it
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrationLockTimeout)
	defer cancel()
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", lock.DefaultLockID); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	l.tx = tx
	return nil
}

// Unlock releases the lock. If its transaction has ended already, so has the lock.
func (l *migrationLock) Unlock(context.Context, *sql.DB) error {
	_ = l.tx.Rollback()
	return nil
}
