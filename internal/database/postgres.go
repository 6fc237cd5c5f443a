package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
)

const (
	// postgresConnections is the maximum number of connections of one instance. Idle connections
	// stay open, because opening one costs more than a hundred reads.
	postgresConnections = 20
	// connectTimeout limits the wait for a host that does not respond, unless the URL has its own
	// connect_timeout.
	connectTimeout = 5 * time.Second
)

// postgresDialector is GORM's dialect, except that translate classifies its errors.
type postgresDialector struct{ *postgres.Dialector }

func (d postgresDialector) Translate(err error) error {
	return translate(err, d.Dialector.Translate)
}

// openPostgres opens the database at url.
func openPostgres(ctx context.Context, url string) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL is not valid: %w", err) // pgx does not include the password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "sesame"
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(postgresConnections)
	pool.SetMaxIdleConns(postgresConnections)
	return open(ctx, postgresDialector{&postgres.Dialector{Config: &postgres.Config{Conn: pool}}})
}
