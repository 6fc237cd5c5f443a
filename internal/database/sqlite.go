package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"strings"

	"modernc.org/sqlite"
)

// openSQLite opens the file at path in WAL mode, with every commit synced to disk. If create is
// true, it creates the file if it does not exist, so that only its owner can read it. Otherwise it
// returns fs.ErrNotExist, and does not change the journal mode of a file that is none of ours.
func openSQLite(ctx context.Context, path string, create bool) (*DB, error) {
	// A commit is as durable, but does not wait for the time of the file, like in the SQLite of every
	// Linux distribution. Elsewhere it returns an error and changes nothing.
	_, _ = sqlite.Fdatasync(true)
	// Sorts and the journals of statements stay in memory, as a container may have no writable folder for
	// temporary files.
	common := []string{"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)", "temp_store(MEMORY)"}
	writing := common
	if create {
		if err := createSQLite(path); err != nil {
			return nil, err
		}
		writing = append(writing, "journal_mode(WAL)")
	} else if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	writer, err := openSQLitePool(path, "immediate", writing, 1)
	if err != nil {
		return nil, err
	}
	if err := writer.PingContext(ctx); err != nil { // switches the file to WAL before the first read
		err = explainDamage(plain(err), path)
		return nil, errors.Join(fmt.Errorf("open database: %w", err), writer.Close())
	}
	readers, err := openSQLitePool(path, "deferred", append(common, "query_only(1)"), max(4, runtime.NumCPU()))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	db, err := open(ctx, sqliteDialect{&sqlitePool{writer: writer, readers: readers}})
	if err != nil {
		return nil, err
	}
	db.writer = &sqliteWriter{pool: writer}
	if db.file, err = openedFile(path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// createSQLite creates an empty file, unless there is one.
func createSQLite(path string) error {
	// SQLite would use mode 0644.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator configured the path
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return nil
}

func openSQLitePool(path, lock string, pragmas []string, connections int) (*sql.DB, error) {
	source := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{
		"_txlock": {lock}, "_pragma": pragmas,
		"_time_integer_format": {"unix_micro"}, "_inttotime": {"1"}, // compares instants, whatever the time zone
		"_dqs": {"0"}, // a misspelled column is an error, not a string
	}.Encode()}
	connector, err := newSQLiteConnector(source.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// sqlitePool runs all writes on one connection, and reads on several others, which are read-only.
//
// SQLite allows one writer at a time. Connections that wait for the lock of the file poll it, in no
// order, and fail after the busy timeout. With a single connection, only other processes, such as a
// command that runs next to the server, compete for the lock. See [sqliteWriter] for the order of the
// writes of this process.
type sqlitePool struct {
	writer, readers *sql.DB
	keeper          *sql.DB // of OpenUnchanged, closed last; may be nil
}

func (p *sqlitePool) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.writer.PrepareContext(ctx, query)
}

func (p *sqlitePool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.writer.ExecContext(ctx, query, args...)
}

func (p *sqlitePool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.querying(query).QueryContext(ctx, query, args...)
}

func (p *sqlitePool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.querying(query).QueryRowContext(ctx, query, args...)
}

// querying returns the pool for a statement that returns rows, which may be INSERT … RETURNING.
func (p *sqlitePool) querying(query string) *sql.DB {
	verb, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	if strings.EqualFold(verb, "SELECT") || strings.EqualFold(verb, "PRAGMA") {
		return p.readers
	}
	return p.writer
}

func (p *sqlitePool) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	return p.writer.BeginTx(ctx, opts)
}

// GetDBConn returns the *sql.DB that GORM uses as the pool.
func (p *sqlitePool) GetDBConn() (*sql.DB, error) { return p.writer, nil }

func (p *sqlitePool) close() error {
	err := errors.Join(p.readers.Close(), p.writer.Close())
	if p.keeper != nil {
		err = errors.Join(err, p.keeper.Close())
	}
	return err
}
