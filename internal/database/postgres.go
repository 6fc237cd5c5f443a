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
	// postgresConnections is how many connections one instance holds. Idle ones are kept: opening a
	// connection costs more than a hundred reads.
	postgresConnections = 20
	// connectTimeout bounds the wait for a host that does not answer, unless the URL has a connect_timeout.
	connectTimeout = 5 * time.Second
)

// postgresDialector is GORM's, with its errors classified by translate.
type postgresDialector struct{ *postgres.Dialector }

func (d postgresDialector) Translate(err error) error {
	return translate(err, d.Dialector.Translate)
}

func openPostgres(ctx context.Context, url string) (*DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("the database URL is not valid: %w", err) // pgx leaves the password out
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
