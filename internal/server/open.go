package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
)

// databaseFile returns the path of the SQLite database.
func (c Config) databaseFile() string { return filepath.Join(c.DataDir, "sesame.db") }

func (c Config) databaseURL() string {
	if c.DatabaseURL == "" {
		return "sqlite:" + c.databaseFile()
	}
	return c.DatabaseURL
}

// OpenDatabase opens the database that the configuration names, for commands. It neither creates
// nor migrates it. It returns an error if there is none, or if its schema is not the one of this
// program.
func OpenDatabase(ctx context.Context, config Config) (*database.DB, error) {
	db, err := openExisting(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := db.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// ReadSchema returns the state of the schema, whatever it is.
func ReadSchema(ctx context.Context, config Config) (schema database.Schema, err error) {
	db, err := openExisting(ctx, config)
	if err != nil {
		return schema, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Schema(ctx)
}

func openExisting(ctx context.Context, config Config) (*database.DB, error) {
	db, err := database.OpenExisting(ctx, config.databaseURL())
	return db, config.explainMissing(err)
}

// OpenUnchanged is like OpenDatabase, but accepts any schema, and changes not a byte of the
// database, also after a crash.
func OpenUnchanged(ctx context.Context, config Config) (*database.DB, error) {
	db, err := database.OpenUnchanged(ctx, config.databaseURL())
	return db, config.explainMissing(err)
}

// explainMissing replaces the error of a database that does not exist.
func (c Config) explainMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database %s: start the server, run sesame migrate, or set SESAME_DATA_DIR",
			c.databaseFile())
	}
	return err
}

// Migrate creates the database if it does not exist, and migrates its schema. It returns the
// migrations that it applied.
func Migrate(ctx context.Context, config Config) ([]database.Migration, error) {
	config.DatabaseWait = 0
	if config.DatabaseURL == "" {
		if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
	}
	db, applied, err := openMigrated(ctx, config)
	if err != nil {
		return nil, err
	}
	return applied, db.Close()
}

// longestPause is the longest pause between two attempts to open the database.
const longestPause = 5 * time.Second

// openMigrated opens and migrates the database, and returns the migrations that it applied. If the
// database is unavailable, openMigrated tries again for config.DatabaseWait.
func openMigrated(ctx context.Context, config Config) (*database.DB, []database.Migration, error) {
	waiting, cancel := context.WithTimeout(ctx, config.DatabaseWait)
	defer cancel()
	attempt := waiting // so that a database that does not respond takes no longer, either
	if config.DatabaseWait == 0 {
		attempt = ctx
	}
	var reason error // of the last attempt that was not cut short
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		db, err := database.Open(attempt, config.databaseURL())
		if err == nil {
			var applied []database.Migration
			if applied, err = migrate(ctx, db); err == nil {
				return db, applied, nil
			}
			err = errors.Join(err, db.Close())
		}
		if reason == nil || waiting.Err() == nil {
			reason = err
		}
		switch {
		case !errors.Is(err, database.ErrUnavailable) || config.DatabaseURL == "": // waiting does not mend a file
			return nil, nil, err
		case ctx.Err() != nil || config.DatabaseWait == 0:
			return nil, nil, err
		case waiting.Err() != nil:
			return nil, nil, fmt.Errorf("the database was not available within %s (SESAME_DATABASE_WAIT): %w",
				config.DatabaseWait, reason)
		}
		config.Log.Warn("the database is not available; trying again", "err", err)
		select {
		case <-waiting.Done():
		case <-time.After(pause):
		}
	}
}

// migrate migrates the schema and returns the migrations that were missing.
func migrate(ctx context.Context, db *database.DB) ([]database.Migration, error) {
	before, err := db.Schema(ctx)
	if err != nil {
		return nil, err
	}
	if missing := before.Pending(); len(missing) > 0 {
		return missing, db.Migrate(ctx)
	}
	return nil, before.Check()
}
