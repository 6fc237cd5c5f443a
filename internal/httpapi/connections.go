package httpapi

import (
	"net"
	"net/http"
	"sync"
)

// Connections limits the open connections of an http.Server. Every connection takes memory and a
// file descriptor, and the database and the hashing processes need file descriptors, too.
type Connections struct{ open chan struct{} }

// NewConnections returns a limit for one server.
func NewConnections(limit int) *Connections { return &Connections{make(chan struct{}, limit)} }

// Load returns the number of open connections, and the limit.
func (c *Connections) Load() (open, limit int) { return len(c.open), cap(c.open) }

// Serve is like http.Server.Serve. If a connection would exceed the limit, the idle ones are
// closed, and the new one waits until there is room.
func (c *Connections) Serve(server *http.Server, listener net.Listener) error {
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked { // the last state of every connection
			<-c.open
		}
	}
	return server.Serve(&limitedListener{Listener: listener, open: c.open, server: server, closed: make(chan struct{})})
}

// limitedListener does not wrap the connections, because net/http uses more methods of net.TCPConn
// than those of net.Conn.
type limitedListener struct {
	net.Listener

	open    chan struct{}
	server  *http.Server
	closing sync.Once
	closed  chan struct{}
}

// Accept returns the next connection, when there is room for it.
func (l *limitedListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.open <- struct{}{}:
		return connection, nil
	default:
	}
	l.server.ErrorLog.Printf("all %d connections are in use, so new ones wait", cap(l.open))
	l.server.SetKeepAlivesEnabled(false) // closes the connections that are idle, or become idle
	defer l.server.SetKeepAlivesEnabled(true)
	select {
	case l.open <- struct{}{}:
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
