package database

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// OpenUnchanged is like OpenExisting, for programs that must not change a byte of the database. A
// process that was killed has left the write-ahead log of SQLite behind, and the last connection
// copies it into the file when it is closed. So another one, which cannot write, is closed later.
func OpenUnchanged(ctx context.Context, databaseURL string) (*DB, error) {
	var keeper *sql.DB
	if path, ok := strings.CutPrefix(databaseURL, "sqlite:"); ok {
		if _, err := os.Stat(path + "-wal"); err == nil {
			if keeper, err = keepLog(ctx, path); err != nil {
				return nil, err
			}
		}
	}
	db, err := OpenExisting(ctx, databaseURL)
	switch {
	case keeper == nil:
		return db, err
	case err != nil:
		return nil, errors.Join(err, keeper.Close())
	}
	if pool, ok := db.gorm.ConnPool.(*sqlitePool); ok {
		pool.keeper = keeper
	}
	return db, nil
}

// keepLog opens a connection that only reads, and reads once: only then it locks the file.
func keepLog(ctx context.Context, path string) (*sql.DB, error) {
	source := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	keeper, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	keeper.SetMaxOpenConns(1)
	var tables int
	if err := keeper.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master").Scan(&tables); err != nil {
		err = fmt.Errorf("open database: %w", explainDamage(plain(err), path))
		return nil, errors.Join(err, keeper.Close())
	}
	return keeper, nil
}

// CanWrite is like Check, but stores nothing. Only Check notices that the disk of SQLite is full.
func (db *DB) CanWrite(ctx context.Context) (err error) {
	pool, err := db.gorm.DB()
	if err != nil {
		return fmt.Errorf("write to the database: %w", err)
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, "UPDATE health SET checked_at = checked_at WHERE id = 1")
		err = errors.Join(err, tx.Rollback())
	}
	if err != nil {
		return fmt.Errorf("write to the database: %w", db.explain(plain(err)))
	}
	if db.Engine() == "postgres" {
		return db.checkSpace(ctx)
	}
	return nil
}

// QuickCheck looks for damage in the file of SQLite. It reads all of it. It returns the first
// damage, or an empty string.
func (db *DB) QuickCheck(ctx context.Context) (damage string, err error) {
	err = db.WithContext(ctx).Raw("PRAGMA quick_check(1)").Row().Scan(&damage)
	if damage == "ok" {
		damage = ""
	}
	return damage, db.explain(plain(err))
}

// Facts describes a database and the connection to it, for operators. Without a comment, a field is
// for both engines.
type Facts struct {
	Version string // of the PostgreSQL server, or of the SQLite library
	Bytes   int64  // size of SQLite's file

	// Of PostgreSQL:

	Major           int           // version
	ClockAhead      time.Duration // of this program, compared with PostgreSQL; negative: behind
	RoundTrip       time.Duration // of a statement that reads nothing
	TLS             string        // its version; empty: none
	Local           bool          // on this machine
	Pooler          bool          // in front of the server
	PoolSize        int           // the maximum number of connections of one Sesame server
	Connections     int           // the maximum number of connections that it allows to Sesame's user and database
	OpenConnections int           // those that are open, of everybody
}

// Facts returns facts about the database. now is the clock.
func (db *DB) Facts(ctx context.Context, now func() time.Time) (facts Facts, err error) {
	if db.file != nil {
		return db.sqliteFacts(ctx)
	}
	for range 3 { // the fastest one: the first may open a connection
		var theirs time.Time
		started := now()
		if err := db.WithContext(ctx).Raw("SELECT clock_timestamp()").Row().Scan(&theirs); err != nil {
			return facts, plain(err)
		}
		if took := now().Sub(started); facts.RoundTrip == 0 || took < facts.RoundTrip {
			facts.RoundTrip, facts.ClockAhead = took, started.Add(took/2).Sub(theirs)
		}
	}
	err = db.WithContext(ctx).Raw(`SELECT
			current_setting('server_version') AS version,
			CAST(current_setting('server_version_num') AS integer) / 10000 AS major,
			LEAST(
				CAST(current_setting('max_connections') AS integer)
					- CAST(current_setting('superuser_reserved_connections') AS integer)
					- CAST(COALESCE(current_setting('reserved_connections', TRUE), '0') AS integer),
				(SELECT NULLIF(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
				(SELECT NULLIF(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)) AS connections,
			(SELECT COUNT(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS open_connections`).
		Row().Scan(&facts.Version, &facts.Major, &facts.Connections, &facts.OpenConnections)
	if err != nil {
		return facts, plain(err)
	}
	facts.Version, _, _ = strings.Cut(facts.Version, " ") // what follows is of the distribution
	return facts, plain(db.connectionFacts(ctx, &facts))
}

func (db *DB) sqliteFacts(ctx context.Context) (facts Facts, err error) {
	if err := db.WithContext(ctx).Raw("SELECT sqlite_version()").Row().Scan(&facts.Version); err != nil {
		return facts, plain(err)
	}
	info, err := os.Stat(db.file.path)
	if err != nil {
		return facts, err
	}
	facts.Bytes = info.Size()
	return facts, nil
}

// connectionFacts sets the facts about the connection to PostgreSQL.
func (db *DB) connectionFacts(ctx context.Context, facts *Facts) error {
	pool, err := db.gorm.DB()
	if err != nil {
		return err
	}
	facts.PoolSize = pool.Stats().MaxOpenConnections
	if facts.Pooler, err = isPooled(ctx, pool); err != nil {
		return err
	}
	return onConnection(ctx, pool, func(conn *pgx.Conn) error {
		network := conn.PgConn().Conn()
		if encrypted, ok := network.(*tls.Conn); ok {
			facts.TLS = tls.VersionName(encrypted.ConnectionState().Version)
		}
		facts.Local = isLocalAddr(network.RemoteAddr())
		return nil
	})
}

// isLocalAddr reports whether an address is on this machine: a Unix socket or a loopback address.
func isLocalAddr(address net.Addr) bool {
	if address.Network() == "unix" {
		return true
	}
	parsed, err := netip.ParseAddrPort(address.String())
	return err == nil && parsed.Addr().Unmap().IsLoopback()
}
