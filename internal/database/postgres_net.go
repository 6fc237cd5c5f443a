package database

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// How long the operating system waits before it gives up a connection to a machine that is lost.
const (
	keepAliveIdle     = 5 * time.Second // without traffic, before the first probe
	keepAliveInterval = 2 * time.Second // between probes
	keepAliveProbes   = 3
	userTimeout       = 5 * time.Second // for data that was sent and not acknowledged
)

// closeLimit is how long a connection may take to end, and to cancel its statement on the server.
const closeLimit = time.Second

// prompt makes the connections of config end soon after their server is lost. pgx waits up to 15
// seconds for it to confirm that a statement was canceled.
func prompt(config *pgx.ConnConfig) {
	dialer := &net.Dialer{
		Timeout: config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveProbes,
		},
		Control: setUserTimeout,
	}
	timeout := config.ConnectTimeout
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// A connection that only cancels a statement keeps this deadline.
		return promptConn{conn}, conn.SetDeadline(time.Now().Add(timeout))
	}
	config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		return conn, conn.SetDeadline(time.Time{})
	}
}

// promptConn limits the deadlines that pgx sets. It sets only one that is not now or never: 15
// seconds for the end of a connection.
type promptConn struct{ net.Conn }

// SetDeadline sets the deadline t or, if it is later, closeLimit from now.
func (c promptConn) SetDeadline(t time.Time) error {
	if latest := time.Now().Add(closeLimit); t.After(latest) {
		t = latest
	}
	return c.Conn.SetDeadline(t)
}
