// Package database opens the store Sesame keeps its state in and brings its schema up to date.
//
// Two engines stand behind one *gorm.DB and behave alike: SQLite, a file in the data folder, and
// PostgreSQL. The rooms that decide over rows (auth, token, mail) write their statements themselves;
// this package only promises them that
//
//   - a duplicate key is gorm.ErrDuplicatedKey, and a database that is gone, full, locked or too slow is
//     ErrUnavailable, on both engines;
//   - what Transaction returned without an error is durable;
//   - many writers at once wait for each other instead of failing.
//
// A deadline cuts a statement off where it stands, with one exception: on SQLite a read ends between two rows, and
// a row that takes long to find is found first (the driver does not interrupt it). Reads therefore have an index.
//
// Times are written in UTC with microseconds, the finest both engines keep.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Open connects to the database at url: "postgres://…" (also "postgresql://…"; several hosts and
// target_session_attrs as libpq has them) or "sqlite:" followed by the path of the file, which is made
// when missing. It answers only after the database has. It does not migrate.
func Open(ctx context.Context, url string) (*gorm.DB, error) {
	switch {
	case strings.HasPrefix(url, "postgres://"), strings.HasPrefix(url, "postgresql://"):
		return openPostgres(ctx, url)
	case strings.HasPrefix(url, "sqlite:"):
		return openSQLite(ctx, strings.TrimPrefix(url, "sqlite:"))
	default:
		return nil, errors.New("the database URL must begin with sqlite: or postgres://")
	}
}

// open hands a dialector to GORM with the settings common to both engines.
func open(ctx context.Context, dialector gorm.Dialector) (*gorm.DB, error) {
	db, err := gorm.Open(dialector, &gorm.Config{
		TranslateError:         true,
		SkipDefaultTransaction: true, // a transaction is opened where one is meant: by Transaction
		DisableAutomaticPing:   true, // pinged below, with a context
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := Ping(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("reach database: %w", err), Close(db))
	}
	return db, nil
}

// Ping tells whether the database answers.
func Ping(ctx context.Context, db *gorm.DB) error {
	var one int
	return plain(db.WithContext(ctx).Raw("SELECT 1").Scan(&one).Error)
}

// Pools are the connection pools behind db by their names, to be asked for their figures.
func Pools(db *gorm.DB) (map[string]*sql.DB, error) {
	if pool, ok := db.ConnPool.(*sqlitePool); ok {
		return map[string]*sql.DB{"writer": pool.writer, "readers": pool.readers}, nil
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("pools of the database: %w", err)
	}
	return map[string]*sql.DB{"postgres": pool}, nil
}

// Close ends every connection. What is under way is waited for.
func Close(db *gorm.DB) error {
	if pool, ok := db.ConnPool.(*sqlitePool); ok {
		return pool.close()
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}

// Transaction runs work and commits what it wrote, or nothing when work returns an error.
//
// The deadline of ctx holds, its cancellation does not: a client that hangs up in the middle of COMMIT
// must not leave it unknown whether the commit took place. An error therefore means that nothing may be
// acknowledged; after a lost connection the work may have been done all the same.
func Transaction(ctx context.Context, db *gorm.DB, work func(tx *gorm.DB) error) error {
	steady, release := steadied(ctx)
	defer release()
	return plain(db.WithContext(steady).Transaction(work)) // GORM leaves the errors of Raw as they are
}

// Statement is Transaction for work of one statement, of which both engines make a transaction by themselves: that
// saves the ways there and back of BEGIN and COMMIT. A driver reports a statement's end, like that of COMMIT, when its
// rows are closed, which GORM's methods do.
func Statement(ctx context.Context, db *gorm.DB, work func(tx *gorm.DB) error) error {
	steady, release := steadied(ctx)
	defer release()
	return plain(work(db.WithContext(steady)))
}

// steadied is ctx with its deadline and without its cancellation.
func steadied(ctx context.Context) (context.Context, context.CancelFunc) {
	steady := context.WithoutCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(steady, deadline)
	}
	return steady, func() {}
}
