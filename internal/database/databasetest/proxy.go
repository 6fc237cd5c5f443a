package databasetest

import (
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a network between the server under test and PostgreSQL, whose failures a test can
// choose. At first it works.
type Proxy struct {
	URL string // the database through the proxy

	server  string // host:port
	mu      sync.Mutex
	changed *sync.Cond
	network network
	open    map[net.Conn]bool // false: forgotten
	running sync.WaitGroup
	turns   atomic.Int64
}

// network is the state of a Proxy.
type network struct {
	silent  bool
	refuses bool
	delay   time.Duration // of everything that is sent
	limit   int           // messages of one connection until it is reset; 0: unlimited
	closed  bool          // the test has ended
}

// NewProxy starts a proxy to the database at databaseURL, which must name one host and a port.
func NewProxy(t testing.TB, databaseURL string) *Proxy {
	t.Helper()
	through, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: through.Host, open: make(map[net.Conn]bool)}
	p.changed = sync.NewCond(&p.mu)
	through.Host = listener.Addr().String()
	p.URL = through.String()
	p.running.Go(func() { p.accept(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		p.become(network{closed: true})
		p.reset()
		p.running.Wait()
	})
	return p
}

// Silence stops forwarding, as if the machine of the server were lost: connections stay open, new
// ones are accepted, and nothing is received.
func (p *Proxy) Silence() { p.become(network{silent: true}) }

// Forget makes the open connections silent, as if a firewall had forgotten them. New ones work.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		p.open[conn] = false
	}
}

// Refuse resets all connections, and new ones at once, as if the server had crashed.
func (p *Proxy) Refuse() {
	p.become(network{refuses: true})
	p.reset()
}

// Delay delays everything that is sent.
func (p *Proxy) Delay(delay time.Duration) { p.become(network{delay: delay}) }

// ResetAfter resets each connection after this number of messages to and from the server.
func (p *Proxy) ResetAfter(messages int) { p.become(network{limit: messages}) }

// RoundTrips returns how often a client has sent something and then waited for the server, on all
// connections so far. What it sends without waiting counts as one round trip.
func (p *Proxy) RoundTrips() int64 { return p.turns.Load() }

// Restore makes the network work again.
func (p *Proxy) Restore() { p.become(network{}) }

func (p *Proxy) become(state network) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.network = state
	p.changed.Broadcast()
}

// reset resets all connections.
func (p *Proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		resetConn(conn)
	}
}

// resetConn closes a connection with a reset (RST).
func resetConn(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // best effort
	}
	_ = conn.Close() // best effort
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.forward(client) })
	}
}

// forward forwards one connection until it ends.
func (p *Proxy) forward(client net.Conn) {
	p.track(client)
	defer p.untrack(client)
	sent := 0 // messages
	if !p.pass(client, &sent) {
		return
	}
	server, err := net.DialTimeout("tcp", p.server, timeout)
	if err != nil {
		return
	}
	p.track(server)
	defer p.untrack(server)
	var both sync.WaitGroup
	var waiting atomic.Bool // the client has sent something that the server has not responded to
	both.Go(func() {
		p.copy(server, client, &sent, func() {
			if !waiting.Swap(true) {
				p.turns.Add(1)
			}
		})
	})
	both.Go(func() { p.copy(client, server, &sent, func() { waiting.Store(false) }) })
	both.Wait()
}

func (p *Proxy) track(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
}

func (p *Proxy) untrack(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	resetConn(conn)
}

// copy forwards in one direction. It calls forwarding before each message.
func (p *Proxy) copy(to, from net.Conn, sent *int, forwarding func()) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.pass(from, sent) {
				resetConn(to)
				resetConn(from)
				return
			}
			forwarding()
			if _, writeErr := to.Write(buffer[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if errors.Is(err, io.EOF) {
			if tcp, ok := to.(*net.TCPConn); ok && tcp.CloseWrite() == nil {
				return
			}
		}
		if err != nil {
			resetConn(to)
			resetConn(from)
			return
		}
	}
}

// pass waits until a message of a connection may be forwarded, and returns false if the connection
// is reset instead. It counts the messages in sent.
func (p *Proxy) pass(from net.Conn, sent *int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.network.silent || !p.open[from] && !p.network.closed {
		p.changed.Wait()
	}
	if delay := p.network.delay; delay > 0 {
		p.mu.Unlock()
		time.Sleep(delay)
		p.mu.Lock()
	}
	*sent++
	return !p.network.closed && !p.network.refuses && (p.network.limit == 0 || *sent <= p.network.limit)
}
