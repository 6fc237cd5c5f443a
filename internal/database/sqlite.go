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

	"github.com/glebarez/sqlite"
)

// sqliteDialector is GORM's, with errors told apart by translate.
type sqliteDialector struct{ *sqlite.Dialector }

func (d sqliteDialector) Translate(err error) error {
	return translate(err, d.Dialector.Translate)
}

// openSQLite opens the file at path, readable by its owner only, in WAL mode and with every commit
// synced to disk.
func openSQLite(ctx context.Context, path string) (*DB, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file, and SQLite itself would make it 0644
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	common := []string{"busy_timeout(5000)", "foreign_keys(1)", "synchronous(FULL)"}
	writer, err := openSQLitePool(path, "immediate", append(common, "journal_mode(WAL)"), 1)
	if err != nil {
		return nil, err
	}
	if err := writer.PingContext(ctx); err != nil { // switches the file to WAL before anybody reads
		return nil, errors.Join(fmt.Errorf("open database: %w", plain(err)), writer.Close())
	}
	readers, err := openSQLitePool(path, "deferred", append(common, "query_only(1)"), max(4, runtime.NumCPU()))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return open(ctx, sqliteDialector{&sqlite.Dialector{Conn: &sqlitePool{writer: writer, readers: readers}}})
}

func openSQLitePool(path, lock string, pragmas []string, connections int) (*sql.DB, error) {
	source := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: url.Values{"_txlock": {lock}, "_pragma": pragmas}.Encode()}
	pool, err := sql.Open(sqlite.DriverName, source.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// sqlitePool sends writes to the one connection that writes and reads to many that cannot.
//
// SQLite has one writer at a time. Writers that meet on the file's lock find out by polling and give up
// after the busy timeout; writers that queue for a connection are served in order, the moment it is free.
// The file's lock then only has to hold against other processes, such as a command beside the server.
type sqlitePool struct{ writer, readers *sql.DB }

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

// querying is where a statement that returns rows belongs: INSERT … RETURNING and its kin write.
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

// GetDBConn is how GORM finds the *sql.DB behind a pool.
func (p *sqlitePool) GetDBConn() (*sql.DB, error) { return p.writer, nil }

func (p *sqlitePool) close() error { return errors.Join(p.readers.Close(), p.writer.Close()) }
