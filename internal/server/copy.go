package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/copydb"
)

// ErrInUse is returned by CopyDatabase if a server uses a data folder.
var ErrInUse = errors.New("a server, or another copy, uses this data folder")

// ErrSameDatabase is returned by CopyDatabase if it would copy a database to itself.
var ErrSameDatabase = errors.New("the source and the destination are the same database")

// CopyDatabase calls work with a Copier from one database to another. Of the configurations, only
// DataDir and DatabaseURL are used. The destination is created if it does not exist.
//
// While it runs, it holds a lock on each data folder that a running server does not allow.
// Servers that use PostgreSQL are not noticed.
func CopyDatabase(ctx context.Context, from, to Config, work func(*copydb.Copier) error) (err error) {
	source, err := openSource(ctx, from)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	unlock, err := from.lock()
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer unlock()

	destination, err := openDestination(ctx, to)
	if err != nil {
		return fmt.Errorf("the destination: %w", err)
	}
	defer func() { err = errors.Join(err, destination.Close()) }()
	same, err := source.Same(ctx, destination)
	if err != nil {
		return err
	}
	if same {
		return ErrSameDatabase
	}
	if unlock, err = to.lock(); err != nil {
		return fmt.Errorf("the destination: %w", err)
	}
	defer unlock()

	copier, err := copydb.New(ctx, source, destination)
	if err != nil {
		return err
	}
	return work(copier)
}

// lock locks the data folder. A server that starts later only logs a warning.
func (c Config) lock() (unlock func(), err error) {
	if c.DatabaseURL != "" {
		return func() {}, nil
	}
	folder, err := os.Open(c.DataDir)
	if err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	unlock = func() { _ = folder.Close() } // it is only a lock
	if lockAlone(folder) {
		unlock()
		return nil, fmt.Errorf("%s: %w: stop it first", c.DataDir, ErrInUse)
	}
	return unlock, nil
}

// openSource opens a database that must exist.
func openSource(ctx context.Context, from Config) (*database.DB, error) {
	db, err := database.OpenExisting(ctx, from.databaseURL())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database %s", from.databaseFile())
	}
	if err != nil {
		return nil, err
	}
	if err := db.CheckSchema(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openDestination opens a database, and creates it if it does not exist. It does not migrate one
// that has a schema: it may be of another installation.
func openDestination(ctx context.Context, to Config) (*database.DB, error) {
	if to.DatabaseURL == "" {
		if err := os.MkdirAll(to.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
	}
	db, err := database.Open(ctx, to.databaseURL())
	if err != nil {
		return nil, err
	}
	schema, err := db.Schema(ctx)
	if err == nil && len(schema.Pending()) == len(schema.Migrations) {
		err = db.Migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
