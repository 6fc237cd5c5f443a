package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// serve serves a handler until the test ends, with a server from NewServer that adjust may change.
func serve(t *testing.T, handler http.Handler, log io.Writer, adjust func(*http.Server)) (address string) {
	t.Helper()
	server := NewServer(handler, slog.New(slog.NewJSONHandler(log, nil)))
	adjust(server)
	return start(t, server, server.Serve)
}

// start calls serve with a new listener, until the test ends.
func start(t *testing.T, server *http.Server, serve func(net.Listener) error) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// connect opens a connection and sends the beginning of a request. Reading from it fails after a
// while.
func connect(t *testing.T, address, request string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	return connection
}

// expectClosed reads until the server closes the connection.
func expectClosed(t *testing.T, connection net.Conn) (read string) {
	t.Helper()
	content, err := io.ReadAll(connection)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server does not close the connection; it sent %q", content)
	}
	return string(content)
}

// A client that is slow, or idle, loses its connection. Each timeout is shortened, and the others
// are removed, because net/http uses some of them in place of others.
func TestTimeouts(t *testing.T) {
	const quick = 50 * time.Millisecond
	shortened := func(timeout time.Duration) time.Duration { return min(timeout, quick) } // 0: no timeout
	handled := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, err := io.ReadAll(r.Body)
			handled <- err
		}
		if r.URL.Path == "/endless" {
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 1<<20))
			}
			handled <- err
		}
	})
	expectHandled := func(t *testing.T) {
		t.Helper()
		select {
		case err := <-handled:
			if err == nil {
				t.Error("the handler got no error")
			}
		case <-time.After(patience):
			t.Error("the handler is still waiting")
		}
	}
	for name, test := range map[string]struct {
		keep    func(server, defaults *http.Server)
		request string
		expect  func(t *testing.T, connection net.Conn)
	}{
		"no request": {
			func(server, defaults *http.Server) { server.ReadHeaderTimeout = shortened(defaults.ReadHeaderTimeout) },
			"", func(t *testing.T, connection net.Conn) { t.Helper(); expectClosed(t, connection) },
		},
		"half a header": {
			func(server, defaults *http.Server) { server.ReadHeaderTimeout = shortened(defaults.ReadHeaderTimeout) },
			"GET / HTTP/1.1\r\nHost: x\r\nA: ",
			func(t *testing.T, connection net.Conn) { t.Helper(); expectClosed(t, connection) },
		},
		"half a body": {
			func(server, defaults *http.Server) { server.ReadTimeout = shortened(defaults.ReadTimeout) },
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{",
			func(t *testing.T, _ net.Conn) { t.Helper(); expectHandled(t) },
		},
		"an unread response": {
			func(server, defaults *http.Server) { server.WriteTimeout = shortened(defaults.WriteTimeout) },
			"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
			func(t *testing.T, _ net.Conn) { t.Helper(); expectHandled(t) },
		},
		"an idle connection": {
			func(server, defaults *http.Server) { server.IdleTimeout = shortened(defaults.IdleTimeout) },
			"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			func(t *testing.T, connection net.Conn) {
				t.Helper()
				if read := expectClosed(t, connection); !strings.HasPrefix(read, "HTTP/1.1 200 OK\r\n") {
					t.Errorf("the server sent %q", read)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, handler, io.Discard, func(server *http.Server) {
				server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 0, 0, 0, 0
				test.keep(server, NewServer(nil, slog.New(slog.DiscardHandler)))
			})
			test.expect(t, connect(t, address, test.request))
		})
	}
}

// The time for writing a response also covers reading the body and the operation.
func TestWriteTimeoutIncludesTheOperation(t *testing.T) {
	server := NewServer(nil, slog.New(slog.DiscardHandler))
	if least := server.ReadTimeout + operationTimeout; server.WriteTimeout <= least {
		t.Errorf("a response must be written within %s, a request may take %s", server.WriteTimeout, least)
	}
}

func TestLongHeader(t *testing.T) {
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	address := serve(t, handler, io.Discard, func(*http.Server) {})
	for length, want := range map[int]string{30 << 10: "200 OK", 40 << 10: "431 Request Header Fields Too Large"} {
		request := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: " + strings.Repeat("a", length) + "\r\n\r\n"
		if read := expectClosed(t, connect(t, address, request)); !strings.HasPrefix(read, "HTTP/1.1 "+want+"\r\n") {
			t.Errorf("a header of %d bytes: %.200q", length, read)
		}
	}
}

// lines records a log.
type lines struct {
	mu      sync.Mutex
	content bytes.Buffer
	added   chan struct{} // receives something after a line was added
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.added <- struct{}{}:
	default:
	}
	return l.content.Write(line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}

// await waits until there are n lines.
func (l *lines) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.After(patience); strings.Count(l.String(), "\n") < n; {
		select {
		case <-l.added:
		case <-deadline:
			t.Fatalf("the log does not have %d lines:\n%s", n, l)
		}
	}
}

// Errors of net/http are warnings in the log. Clients can cause some, so only a few are logged in a
// minute, and then how many were left out.
func TestErrorLog(t *testing.T) {
	var written bytes.Buffer
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	log := &errorLog{log: slog.New(slog.NewJSONHandler(&written, nil)), now: func() time.Time { return now }}
	report := func(times int) (lines []string) {
		t.Helper()
		written.Reset()
		for i := range times {
			if _, err := fmt.Fprintf(log, "http: error %d\n", i); err != nil {
				t.Fatal(err)
			}
		}
		return strings.Split(strings.TrimSpace(written.String()), "\n")
	}
	got := report(1000)
	if len(got) != maxErrors || !strings.Contains(got[0], `"level":"WARN","msg":"http server","err":"http: error 0"`) {
		t.Errorf("%d lines for 1000 errors:\n%s", len(got), strings.Join(got, "\n"))
	}
	now = now.Add(59 * time.Second)
	if got := report(1); got[0] != "" {
		t.Errorf("within the minute: %q", got)
	}
	now = now.Add(time.Second)
	got = report(2)
	if len(got) != 2 || !strings.Contains(got[0], `"leftOut":991`) || !strings.Contains(got[1], `"leftOut":0`) {
		t.Errorf("after the minute: %q", got)
	}
	now = now.Add(-time.Hour)
	if got := report(1); !strings.Contains(got[0], "error 0") {
		t.Errorf("after the clock was set back: %q", got)
	}
}

// The server logs what net/http reports about a handler.
func TestServerLogsErrors(t *testing.T) {
	log := &lines{added: make(chan struct{}, 1)}
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })
	address := serve(t, handler, log, func(*http.Server) {})
	expectClosed(t, connect(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	if text := log.String(); !strings.Contains(text, `"level":"WARN"`) || !strings.Contains(text, "http: panic serving") {
		t.Errorf("the log: %s", text)
	}
}

// At the limit, idle connections are closed, and new ones wait for the others.
func TestConnectionsAreLimited(t *testing.T) {
	const limit = 3
	connections := NewConnections(limit)
	log := &lines{added: make(chan struct{}, 1)}
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	})
	server := NewServer(handler, slog.New(slog.NewJSONHandler(log, nil)))
	address := start(t, server, func(l net.Listener) error { return connections.Serve(server, l) })
	expectOpen := func(want int) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			open, most := connections.Load()
			if open == want && most == limit {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d connections are open, want %d of %d", open, most, want, limit)
			}
		}
	}
	const slow, quick = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	expectOK := func(connection net.Conn) {
		t.Helper()
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", response, err)
		}
		_ = response.Body.Close()
	}
	one, two := connect(t, address, slow), connect(t, address, slow)
	<-entered
	<-entered
	idle := connect(t, address, quick)
	expectOK(idle)
	expectOpen(limit)
	if log.String() != "" {
		t.Errorf("a warning below the limit: %s", log.String())
	}

	three := connect(t, address, slow) // takes the place of the idle one
	<-entered
	expectClosed(t, idle)
	expectOpen(limit)

	waiting := connect(t, address, slow)
	log.await(t, 2) // the first warning was for the connection that took the place of the idle one
	select {
	case <-entered:
		t.Error("a connection above the limit is served")
	default:
	}
	expectOpen(limit)
	leave <- struct{}{}
	<-entered // the waiting one
	expectOpen(limit)
	if !strings.Contains(log.String(), "all 3 connections are in use") {
		t.Errorf("the log: %s", log.String())
	}
	close(leave)
	for _, connection := range []net.Conn{one, two, three, waiting} {
		expectOK(connection)
		_ = connection.Close()
	}
	expectOpen(0)
}

// A server can be stopped while a new connection waits for the others.
func TestConnectionWaitsForShutdown(t *testing.T) {
	connections := NewConnections(1)
	log := &lines{added: make(chan struct{}, 1)}
	entered, leave := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	})
	server := NewServer(handler, slog.New(slog.NewJSONHandler(log, nil)))
	address := start(t, server, func(l net.Listener) error { return connections.Serve(server, l) })
	connect(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	waiting := connect(t, address, "")
	log.await(t, 1)
	if err := server.Close(); err != nil { // start waits until Serve returns
		t.Error(err)
	}
	expectClosed(t, waiting)
	close(leave)
}
