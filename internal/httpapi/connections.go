package httpapi

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Connections limits the open connections of an http.Server. Every connection takes memory and a
// file descriptor, and the database and the hashing processes need file descriptors, too.
type Connections struct {
	open     chan struct{}
	requests chan struct{} // in flight, of a server with TLS
	idle     sync.Map      // the idle connections with TLS
}

// NewConnections returns a limit for one server.
func NewConnections(limit int) *Connections {
	return &Connections{open: make(chan struct{}, limit), requests: make(chan struct{}, limit)}
}

// Load returns the number of open connections, and the limit.
func (c *Connections) Load() (open, limit int) { return len(c.open), cap(c.open) }

// Serve is like http.Server.Serve, or ServeTLS if the server has a TLSConfig. If a connection would
// exceed the limit, the idle ones are closed, and the new one waits until there is room.
func (c *Connections) Serve(server *http.Server, listener net.Listener) error {
	server.ConnState = c.changed
	limited := &limitedListener{Listener: listener, connections: c, server: server, closed: make(chan struct{})}
	if server.TLSConfig != nil {
		server.Handler = c.limitRequests(server.Handler)
		return server.ServeTLS(limited, "", "")
	}
	return server.Serve(limited)
}

// limitRequests lets there be at most as many requests in flight as connections. With HTTP/1.1 that
// is always so. A connection with HTTP/2 may have many, and those beyond the limit are aborted: a
// response would take memory until the client reads it.
func (c *Connections) limitRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case c.requests <- struct{}{}:
			defer func() { <-c.requests }()
			next.ServeHTTP(w, r)
		default:
			panic(http.ErrAbortHandler)
		}
	})
}

// changed follows the state of a connection.
func (c *Connections) changed(connection net.Conn, state http.ConnState) {
	if _, isTLS := connection.(*tls.Conn); isTLS {
		if state == http.StateIdle {
			c.idle.Store(connection, nil)
		} else {
			c.idle.Delete(connection)
		}
	}
	if state == http.StateClosed || state == http.StateHijacked { // the last state of every connection
		<-c.open
	}
}

// closeIdle closes the idle connections with TLS. http.Server closes only those with HTTP/1.1.
func (c *Connections) closeIdle() {
	c.idle.Range(func(connection, _ any) bool {
		if connection, ok := connection.(*tls.Conn); ok {
			_ = connection.NetConn().Close() // without waiting for the client
		}
		return true
	})
}

// limitedListener does not wrap the connections, because net/http uses more methods of net.TCPConn
// than those of net.Conn.
type limitedListener struct {
	net.Listener

	connections *Connections
	server      *http.Server
	closing     sync.Once
	closed      chan struct{}
}

// Accept returns the next connection, when there is room for it.
func (l *limitedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.connections.open <- struct{}{}:
		return connection, nil
	default:
	}
	l.server.ErrorLog.Printf("all %d connections are in use, so new ones wait", cap(l.connections.open))
	l.server.SetKeepAlivesEnabled(false) // closes the connections that are idle, or become idle
	defer l.server.SetKeepAlivesEnabled(true)
	l.connections.closeIdle()
	select {
	case l.connections.open <- struct{}{}:
		return connection, nil
	case <-l.closed:
		_ = connection.Close() // nothing was read or written
		return nil, net.ErrClosed
	}
}

// Close also ends a waiting Accept.
func (l *limitedListener) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}
