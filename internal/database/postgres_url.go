package database

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The defaults of the database URL's parameters.
const (
	// maxConnections is pool_max_conns, the maximum number of connections of one instance. Idle ones
	// stay open, because opening one costs more than a hundred reads.
	maxConnections = 20
	// maxLifetime is pool_max_conn_lifetime. It lets connections move to a server that was added, and
	// away from one that will be shut down.
	maxLifetime = 30 * time.Minute
	// connectTimeout is connect_timeout, which limits the wait for a host that does not respond. It
	// leaves time for a statement before callLimit.
	connectTimeout = 2 * time.Second
)

// postgresConfig is what a database URL says.
type postgresConfig struct {
	*pgx.ConnConfig

	maxConnections           int
	maxLifetime, maxIdleTime time.Duration // 0: unlimited
	findPooler               bool          // the URL does not say how to run statements
}

// CheckURL returns an error that says what is wrong with a database URL of PostgreSQL. It does not
// connect. The error does not contain the password.
func CheckURL(databaseURL string) error {
	_, err := parsePostgresURL(databaseURL)
	return err
}

func parsePostgresURL(databaseURL string) (*postgresConfig, error) {
	parsed, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		// Without the URL, which pgx quotes: if the password is not escaped, pgx may not recognize it.
		_, reason, _ := strings.Cut(err.Error(), "`: ")
		return nil, fmt.Errorf("the database URL is not valid: %s", reason)
	}
	config := &postgresConfig{
		ConnConfig:     parsed,
		maxConnections: maxConnections, maxLifetime: maxLifetime,
		findPooler: !strings.Contains(databaseURL, "default_query_exec_mode="),
	}
	if parsed.ConnectTimeout == 0 {
		parsed.ConnectTimeout = connectTimeout
	}
	if parsed.RuntimeParams["application_name"] == "" {
		parsed.RuntimeParams["application_name"] = "sesame"
	}
	if hosts := config.hosts(); len(hosts) > 1 && parsed.ValidateConnect == nil {
		parsed.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if problems := append(config.checkHosts(), config.takePoolParameters()...); len(problems) > 0 {
		return nil, errors.New(strings.Join(problems, "; ")) // in one line, after the name of the setting
	}
	return config, nil
}

// takePoolParameters sets the fields of the pool's parameters, which have the names of pgxpool, and
// removes the parameters, because the server does not know them. It returns what is wrong with
// them.
func (c *postgresConfig) takePoolParameters() (problems []string) {
	for _, name := range slices.Sorted(maps.Keys(c.RuntimeParams)) {
		if !strings.HasPrefix(name, "pool_") {
			continue
		}
		value := c.RuntimeParams[name]
		delete(c.RuntimeParams, name)
		var err error
		switch name {
		case "pool_max_conns":
			c.maxConnections, err = strconv.Atoi(value)
			if err != nil || c.maxConnections < 2 { // one to migrate, another to hold the lock
				err = errors.New("must be a number of at least 2")
			}
		case "pool_max_conn_lifetime":
			c.maxLifetime, err = poolDuration(value)
		case "pool_max_conn_idle_time":
			c.maxIdleTime, err = poolDuration(value)
		default:
			err = errors.New("is not supported; supported are pool_max_conns, pool_max_conn_lifetime and " +
				"pool_max_conn_idle_time")
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s of the database URL %s", name, err))
		}
	}
	return problems
}

func poolDuration(value string) (time.Duration, error) {
	duration, err := time.ParseDuration(value)
	if err != nil || duration < 0 {
		return 0, errors.New("must be a duration, such as 30m, or 0 for no limit")
	}
	return duration, nil
}

// checkHosts requires that a connection to another machine is encrypted, unless sslmode=disable
// says otherwise. Without sslmode, pgx continues without TLS if the server, or somebody between,
// refuses it.
func (c *postgresConfig) checkHosts() (problems []string) {
	for _, host := range c.hosts() {
		if strings.ContainsAny(host.Host, "@?#") { // do not quote it: it may be a part of the password
			return []string{"the database URL has a host with special characters: percent-encode those of the password"}
		}
		if len(host.Fallbacks) > 0 && !isLocal(host.Host) { // one with TLS, and one without
			problems = append(problems, fmt.Sprintf("the connection to %s might not be encrypted: add sslmode=verify-full "+
				"(or at least sslmode=require) to the database URL, or sslmode=disable if the network is trusted", host.Host))
		}
	}
	return problems
}

// isLocal reports whether a host is this machine: a Unix socket, localhost or a loopback IP
// address.
func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// hosts returns a configuration for each host of the URL.
func (c *postgresConfig) hosts() []*pgx.ConnConfig {
	var hosts []*pgx.ConnConfig
	for _, try := range attempts(c.ConnConfig) {
		if last := len(hosts) - 1; last >= 0 && hosts[last].Host == try.Host && hosts[last].Port == try.Port {
			hosts[last].Fallbacks = append(hosts[last].Fallbacks, try)
			continue
		}
		host := c.Copy()
		host.Host, host.Port, host.TLSConfig, host.Fallbacks = try.Host, try.Port, try.TLSConfig, nil
		hosts = append(hosts, host)
	}
	return hosts
}

// attempts returns what pgx tries in order: each host, with and without TLS if sslmode allows both.
func attempts(config *pgx.ConnConfig) []*pgconn.FallbackConfig {
	first := &pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}
	return append([]*pgconn.FallbackConfig{first}, config.Fallbacks...)
}
