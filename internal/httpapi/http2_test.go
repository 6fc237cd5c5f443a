package httpapi

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sesame-auth/sesame/internal/certtest"
)

// secureServer is a server with TLS.
type secureServer struct {
	address     string
	connections *Connections
	log         *lines
	authority   *certtest.Authority
}

// serveTLS serves a handler with TLS until the test ends, with at most limit connections.
func serveTLS(t *testing.T, handler http.Handler, limit int, adjust func(*http.Server)) *secureServer {
	t.Helper()
	s := &secureServer{
		connections: NewConnections(limit), log: &lines{added: make(chan struct{}, 1)}, authority: certtest.NewAuthority(t),
	}
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	server := NewServer(handler, slog.New(slog.NewJSONHandler(s.log, options)))
	certificate := s.authority.Issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	adjust(server)
	s.address = start(t, server, func(l net.Listener) error { return s.connections.Serve(server, l) })
	return s
}

func unchanged(*http.Server) {}

// expectOpen waits until so many connections are open.
func (s *secureServer) expectOpen(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		open, _ := s.connections.Load()
		if open == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are open, want %d", open, want)
		}
	}
}

// client2 is a connection with HTTP/2, for requests that no client of net/http sends.
type client2 struct {
	*http2.Framer

	connection net.Conn
	fields     bytes.Buffer
	encoder    *hpack.Encoder
	decoder    *hpack.Decoder
	status     string // of the last response
	settings   *http2.SettingsFrame
	nextStream uint32
}

// connect2 opens a connection with HTTP/2 and reads the settings of the server.
func (s *secureServer) connect2(t *testing.T) *client2 {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: s.authority.Pool, NextProtos: []string{"h2"}}}
	connection, err := dialer.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &client2{Framer: http2.NewFramer(connection, connection), connection: connection, nextStream: 1}
	c.encoder = hpack.NewEncoder(&c.fields)
	c.decoder = hpack.NewDecoder(4096, func(field hpack.HeaderField) {
		if field.Name == ":status" {
			c.status = field.Value
		}
	})
	_, err = io.WriteString(connection, http2.ClientPreface)
	// Windows that are never full, so that the server writes as much as the connection takes.
	err = errors.Join(err, c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}),
		c.WriteWindowUpdate(0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	frame, err := c.ReadFrame()
	settings, ok := frame.(*http2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("%v, %v", frame, err)
	}
	c.settings = settings
	return c
}

// request sends a request without its body, and returns its stream.
func (c *client2) request(t *testing.T, method, path string, headers ...string) (stream uint32) {
	t.Helper()
	c.fields.Reset()
	fields := append([]string{":method", method, ":scheme", "https", ":authority", "x", ":path", path}, headers...)
	for i := 0; i < len(fields); i += 2 {
		if err := c.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	stream = c.nextStream
	c.nextStream += 2
	block, first := c.fields.Bytes(), true
	for ; first || len(block) > 0; first = false {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		var err error
		if first {
			err = c.WriteHeaders(http2.HeadersFrameParam{
				StreamID: stream, BlockFragment: part, EndHeaders: len(block) == 0, EndStream: method == http.MethodGet,
			})
		} else {
			err = c.WriteContinuation(stream, len(block) == 0, part)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// await reads until the response of a stream begins, and returns its status, "reset" or "closed".
func (c *client2) await(t *testing.T, stream uint32) (status string) {
	t.Helper()
	for {
		frame, err := c.ReadFrame()
		if errors.Is(err, io.EOF) {
			return "closed"
		}
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.HeadersFrame:
			if _, err := c.decoder.Write(frame.HeaderBlockFragment()); err != nil {
				t.Fatal(err)
			}
			if frame.StreamID == stream {
				return c.status
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return "reset"
			}
		}
	}
}

// A client that does not finish the TLS handshake loses its connection. The other timeouts are
// removed, because net/http would use them instead.
func TestHandshakeTimeout(t *testing.T) {
	s := serveTLS(t, http.NotFoundHandler(), 10, func(server *http.Server) {
		server.ReadHeaderTimeout = min(server.ReadHeaderTimeout, 50*time.Millisecond)
		server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 0, 0, 0
	})
	for _, sent := range []string{"", "\x16\x03\x01\x02\x00\x01"} { // nothing, and the beginning of a ClientHello
		connection := connect(t, s.address, sent)
		expectClosed(t, connection)
		s.expectOpen(t, 0)
	}
	s.log.await(t, 2)
	if log := s.log.String(); strings.Contains(log, `"level":"WARN"`) || !strings.Contains(log, "TLS handshake error") {
		t.Errorf("the log:\n%s", log)
	}
}

// Failed handshakes do not use up the errors that are logged.
func TestHandshakeErrorsAreNotCounted(t *testing.T) {
	var written bytes.Buffer
	log := &errorLog{log: slog.New(slog.NewJSONHandler(&written, nil)), now: time.Now}
	for range 2 * maxErrors {
		if _, err := io.WriteString(log, "http: TLS handshake error from 192.0.2.1:1: EOF\n"); err != nil {
			t.Fatal(err)
		}
	}
	if written.Len() > 0 {
		t.Errorf("logged: %s", &written)
	}
	if _, err := io.WriteString(log, "http: panic serving\n"); err != nil || !strings.Contains(written.String(), "panic") {
		t.Errorf("%v, logged: %s", err, &written)
	}
}

// What one connection with HTTP/2 can make the server store is bounded.
func TestHTTP2Settings(t *testing.T) {
	s := serveTLS(t, http.NotFoundHandler(), 10, unchanged)
	c := s.connect2(t)
	for setting, want := range map[http2.SettingID]uint32{
		http2.SettingMaxConcurrentStreams: 100,
		http2.SettingMaxFrameSize:         16 << 10,
		http2.SettingInitialWindowSize:    32 << 10, // more than a body may have
		http2.SettingMaxHeaderListSize:    32<<10 + 10*32,
	} {
		if got, _ := c.settings.Value(setting); got != want {
			t.Errorf("%s is %d, want %d", setting, got, want)
		}
	}
	// The window of the connection begins at 64 KiB, and the server does not extend it.
	if err := c.WritePing(false, [8]byte{}); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame.(type) {
		case *http2.WindowUpdateFrame:
			t.Errorf("the window is extended: %v", frame)
		case *http2.PingFrame:
			return
		}
	}
}

// The limits of time and size apply to HTTP/2, too. Each timeout is shortened, and the others are
// removed.
func TestHTTP2Limits(t *testing.T) {
	const quick = 500 * time.Millisecond // also enough for a handshake
	handled := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, err := io.ReadAll(r.Body)
			handled <- err
		}
		for err := error(nil); err == nil && r.URL.Path == "/endless"; {
			_, err = w.Write(make([]byte, 1<<20))
		}
	})
	// expectEnd reads until the connection is closed.
	expectEnd := func(t *testing.T, c *client2) {
		t.Helper()
		for {
			if _, err := c.ReadFrame(); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection is still open")
			} else if err != nil {
				return
			}
		}
	}
	for name, test := range map[string]struct {
		keep   func(server, defaults *http.Server)
		expect func(t *testing.T, s *secureServer, c *client2)
	}{
		"an idle connection": {
			func(server, defaults *http.Server) { server.IdleTimeout = min(defaults.IdleTimeout, quick) },
			func(t *testing.T, _ *secureServer, c *client2) { t.Helper(); expectEnd(t, c) },
		},
		"half a header": {
			func(server, defaults *http.Server) { server.IdleTimeout = min(defaults.IdleTimeout, quick) },
			func(t *testing.T, _ *secureServer, c *client2) {
				t.Helper()
				err := c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}})
				if err != nil {
					t.Fatal(err)
				}
				expectEnd(t, c)
			},
		},
		"half a body": {
			func(server, defaults *http.Server) { server.ReadTimeout = min(defaults.ReadTimeout, quick) },
			func(t *testing.T, _ *secureServer, c *client2) {
				t.Helper()
				if err := c.WriteData(c.request(t, http.MethodPost, "/"), false, []byte("{")); err != nil {
					t.Fatal(err)
				}
				select {
				case err := <-handled:
					if err == nil {
						t.Error("the handler got no error")
					}
				case <-time.After(patience):
					t.Error("the handler is still waiting")
				}
			},
		},
		"an unread response": {
			func(server, defaults *http.Server) {
				server.HTTP2.WriteByteTimeout = min(defaults.HTTP2.WriteByteTimeout, quick)
			},
			func(t *testing.T, s *secureServer, c *client2) {
				t.Helper()
				c.request(t, http.MethodGet, "/endless")
				s.expectOpen(t, 0)
			},
		},
		"a long header": {
			func(server, defaults *http.Server) { server.MaxHeaderBytes = defaults.MaxHeaderBytes },
			func(t *testing.T, _ *secureServer, c *client2) {
				t.Helper()
				for i, want := range []string{"200", "closed"} {
					length := (30 + 10*i) << 10
					if got := c.await(t, c.request(t, http.MethodGet, "/", "a", strings.Repeat("a", length))); got != want {
						t.Errorf("a header of %d bytes: %s", length, got)
					}
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, handler, 10, func(server *http.Server) {
				server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout, server.IdleTimeout = 0, 0, 0, 0
				server.HTTP2.WriteByteTimeout = 0
				test.keep(server, NewServer(nil, slog.New(slog.DiscardHandler)))
			})
			c := s.connect2(t)
			s.expectOpen(t, 1)
			test.expect(t, s, c)
		})
	}
}

// At the limit, idle connections with HTTP/2 are closed for new ones.
func TestHTTP2ConnectionsAreLimited(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	s := serveTLS(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			entered <- struct{}{}
			<-leave
		}
	}), 2, unchanged)
	busy, idle := s.connect2(t), s.connect2(t)
	slow := busy.request(t, http.MethodGet, "/slow")
	<-entered
	if status := idle.await(t, idle.request(t, http.MethodGet, "/")); status != "200" {
		t.Error(status)
	}
	s.expectOpen(t, 2)
	third := s.connect2(t) // takes the place of the idle one
	for {
		if _, err := idle.ReadFrame(); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the idle connection is still open")
		} else if err != nil {
			break
		}
	}
	s.expectOpen(t, 2)
	if status := third.await(t, third.request(t, http.MethodGet, "/")); status != "200" {
		t.Error(status)
	}
	close(leave)
	if status := busy.await(t, slow); status != "200" {
		t.Error(status)
	}
	_, _ = busy.connection.Close(), third.connection.Close()
	s.expectOpen(t, 0)
}

// There are at most as many requests in flight as connections are allowed.
func TestHTTP2RequestsAreLimited(t *testing.T) {
	const limit = 3
	entered, leave := make(chan struct{}, limit+1), make(chan struct{})
	s := serveTLS(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}), limit, unchanged)
	c := s.connect2(t)
	var last uint32
	for range limit {
		last = c.request(t, http.MethodGet, "/")
		<-entered
	}
	if status := c.await(t, c.request(t, http.MethodGet, "/")); status != "reset" {
		t.Errorf("a request above the limit: %s", status)
	}
	close(leave)
	c.await(t, last)
	if status := c.await(t, c.request(t, http.MethodGet, "/")); status != "200" {
		t.Errorf("after the others: %s", status)
	}
}
