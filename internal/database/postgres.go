package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
)

// callLimit is how long one call may take whose context has a deadline. A request ends with the
// first call that fails, so it also limits how long requests wait for a server that is lost.
const callLimit = 2500 * time.Millisecond

// postgresDialector is GORM's dialect, except that translate classifies its errors.
type postgresDialector struct{ *postgres.Dialector }

func (d postgresDialector) Translate(err error) error {
	return translate(err, d.Dialector.Translate)
}

// openPostgres opens the database at url.
func openPostgres(ctx context.Context, url string) (*DB, error) {
	config, err := parsePostgresURL(url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout+callLimit)
	defer cancel()
	pool := config.openPool()
	if config.findPooler {
		pooled, err := isPooled(ctx, pool)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reach database: %w", plain(err)), pool.Close())
		}
		if pooled {
			_ = pool.Close() // best effort
			config.DefaultQueryExecMode = pgx.QueryExecModeExec
			pool = config.openPool()
		}
	}
	db, err := open(ctx, postgresDialector{&postgres.Dialector{Config: &postgres.Config{Conn: pool}}})
	if err != nil {
		return nil, err
	}
	db.limit = callLimit
	return db, nil
}

func (c *postgresConfig) openPool() *sql.DB {
	pool := sql.OpenDB(newConnector(c))
	pool.SetMaxOpenConns(c.maxConnections)
	pool.SetMaxIdleConns(c.maxConnections)
	pool.SetConnMaxLifetime(c.maxLifetime)
	pool.SetConnMaxIdleTime(c.maxIdleTime)
	return pool
}

// isPooled reports whether a connection pooler such as PgBouncer is in front of the server. The
// pooler may run each transaction on another connection of its own, which does not have the
// statements that were prepared on the last one, so statements must not be prepared then.
//
// A pooler makes up the process id that a client gets when it connects.
func isPooled(ctx context.Context, pool *sql.DB) (pooled bool, err error) {
	err = onConnection(ctx, pool, func(conn *pgx.Conn) error {
		var processID uint32
		err := conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&processID)
		pooled = processID != conn.PgConn().PID()
		return err
	})
	return pooled, err
}

// onConnection calls use with a connection of the pool, for what database/sql does not offer.
func onConnection(ctx context.Context, pool *sql.DB, use func(*pgx.Conn) error) error {
	connected, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = connected.Close() }() // returns it to the pool
	return connected.Raw(func(driverConn any) error {
		direct, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection is a %T", driverConn)
		}
		return use(direct.Conn())
	})
}

// connector opens the connections of a pool. It evicts all connections that are open when one of
// them shows that its server is lost, or is a standby now.
type connector struct {
	hosts     []driver.Connector
	evictions *atomic.Int64
}

const (
	// pingAfter is how long a connection is idle before it is checked when it is used again.
	pingAfter = time.Second
	// pingLimit is how long a server may take to respond to a ping, which waits for no lock.
	pingLimit = time.Second
)

// The custom data of a connection.
const (
	evictionsBefore = "evictions" // when it was opened
	idle            = "idle"      // for how long it was not used
)

func newConnector(config *postgresConfig) connector {
	c := connector{evictions: &atomic.Int64{}}
	for _, host := range config.hosts() {
		prompt(host)
		onError := host.OnPgError
		host.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
			if err.Code == readOnlyTransaction {
				c.evictions.Add(1)
				return false // closes this one
			}
			return onError(conn, err)
		}
		c.hosts = append(c.hosts, stdlib.GetConnector(*host,
			stdlib.OptionAfterConnect(c.opened),
			stdlib.OptionShouldPing(noteIdle),
			stdlib.OptionResetSession(c.reuse),
		))
	}
	return c
}

// opened prepares a new connection, and records when it was opened.
func (c connector) opened(_ context.Context, conn *pgx.Conn) error {
	registerParameters(conn.TypeMap())
	conn.PgConn().CustomData()[evictionsBefore] = c.evictions.Load()
	return nil
}

// noteIdle records how long a connection was idle. It returns false: reuse pings, with a time
// limit.
func noteIdle(_ context.Context, params stdlib.ShouldPingParams) bool {
	params.Conn.PgConn().CustomData()[idle] = params.IdleDuration
	return false
}

// reuse returns driver.ErrBadConn if an idle connection must be closed instead of used again: it
// was evicted, or its server does not respond.
func (c connector) reuse(ctx context.Context, conn *pgx.Conn) error {
	data := conn.PgConn().CustomData()
	if data[evictionsBefore] != c.evictions.Load() {
		return driver.ErrBadConn
	}
	if duration, ok := data[idle].(time.Duration); ok && duration < pingAfter {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	if err := conn.PgConn().Ping(limited); err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			c.evictions.Add(1)
		}
		return driver.ErrBadConn
	}
	return nil
}

// Connect returns a connection to the first host that accepts one. It tries all hosts at the same
// time: one that is lost would otherwise delay every new connection until its timeout.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	type result struct {
		conn driver.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result, len(c.hosts))
	for _, host := range c.hosts {
		go func() {
			conn, err := host.Connect(ctx)
			results <- result{conn, err}
		}()
	}
	var errs []error
	for tried := range c.hosts {
		first := <-results
		if first.err != nil {
			errs = append(errs, first.err)
			continue
		}
		go func() { // close what the other hosts return
			for range c.hosts[tried+1:] {
				if other := <-results; other.err == nil {
					_ = other.conn.Close() // best effort
				}
			}
		}()
		return first.conn, nil
	}
	return nil, errors.Join(errs...)
}

// Driver returns pgx's driver.
func (c connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }
