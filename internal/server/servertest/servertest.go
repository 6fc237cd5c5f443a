// Package servertest runs Sesame in the process of a test, exactly as `sesame serve` does: with a
// real database, real listeners and a real SMTP server.
//
// Its HTTP client checks every response against the OpenAPI document. At the end of the test, no
// secret that was sent over the network may appear in the database, the log, the metrics or the
// traces.
package servertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/clocktest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/tracing/otlptest"
)

// PublicURL is the configured public URL. Links in emails begin with it, although the server
// listens elsewhere.
const PublicURL = "https://auth.example.test"

// The settings of passkeys: the domain that they are for, and the origin of another page that may
// use them.
const (
	RPID      = "example.test"
	AppOrigin = "https://app.example.test"
)

// Secret is the SESAME_SECRET of every test. It is exported so that tests can create tokens
// themselves.
var Secret = secret.Secret("a secret of thirty-two bytes, and more")

// Document returns the OpenAPI document that every response is checked against.
var Document = sync.OnceValue(func() *Contract {
	contract, err := Load()
	if err != nil {
		panic(err)
	}
	return contract
})

// Server is a running Sesame.
type Server struct {
	*server.Server

	URL       string
	AdminURL  string       // the URL of the admin listener
	Client    *http.Client // checks every response
	Clock     *clocktest.Clock
	Log       *Log
	Collector *otlptest.Receiver // receives the traces; nil without Options.Traces
	Config    server.Config      // what the server was made with

	databaseURL string
	mailbox     *mailbox
	canaries    *canaries
}

// Options change the configuration of a test's server. The zero value is the default configuration.
type Options struct {
	RefreshGrace time.Duration // 0: 30 s; negative: none
	WithoutKeys  bool          // there are no signing keys: operations that need them panic
	NoHashing    bool          // no password can be hashed in time
	SlowHashing  bool          // one password is hashed at a time, at the cost of a real one
	Throttle     bool          // rate limits are on; most tests send too many requests for them
	BehindProxy  bool          // the client is a trusted proxy: X-Forwarded-For is used
	CORSOrigins  string        // SESAME_CORS_ORIGINS
	Mailbox      bool          // there is no SMTP server: emails become files, which /dev/mail shows
	MinLength    int           // SESAME_MIN_PASSWORD_LENGTH; 0: 8
	Ahead        time.Duration // of the real time, the clock is at the start
	Algorithm    string        // SESAME_SIGNING_ALGORITHM; "": ES256

	Addr            string            // SESAME_ADDR; "": a free port
	TLSCert, TLSKey string            // SESAME_TLS_CERT and SESAME_TLS_KEY; "": plain HTTP
	Base            http.RoundTripper // what the client sends requests with; nil: over TCP

	Secret         secret.Secret // SESAME_SECRET; nil: Secret
	PreviousSecret secret.Secret // SESAME_SECRET_PREVIOUS; nil: none

	Registration      auth.RegistrationMode  // empty: open
	EmailVerification auth.EmailVerification // empty: off; most tests wait for other emails
	NewLoginEmails    bool

	Traces map[string]string // the OTEL_ variables of a server that exports its traces; nil: it does not
}

// Start runs a server with an empty database until the test ends.
func Start(t testing.TB, engine databasetest.Engine, options Options) *Server {
	t.Helper()
	return StartOn(t, engine, databasetest.URL(t, engine), options)
}

// StartAnother starts another instance with the same database.
func (s *Server) StartAnother(t testing.TB, engine databasetest.Engine, options Options) *Server {
	t.Helper()
	return StartOn(t, engine, s.databaseURL, options)
}

// StartOn is like Start, but with a given database.
func StartOn(t testing.TB, engine databasetest.Engine, databaseURL string, options Options) *Server {
	t.Helper()
	s := &Server{
		Clock:       &clocktest.Clock{},
		Log:         &Log{},
		databaseURL: databaseURL,
		mailbox:     newMailbox(t),
		canaries:    &canaries{},
	}
	s.Clock.Advance(options.Ahead)
	var err error
	s.Config = s.config(t, options)
	if s.Server, err = server.New(t.Context(), s.Config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.URL, s.AdminURL = "http://"+s.Addr(), "http://"+s.AdminAddr()
	if _, isUnix := server.SocketPath(s.Addr()); isUnix {
		s.URL = "http://localhost"
	}
	if options.TLSCert != "" {
		s.URL = "https://" + s.Addr()
	}
	s.serve(t)
	if options.WithoutKeys {
		broken := s.API
		broken.Keys = nil
		handler, err := httpapi.New(broken)
		if err != nil {
			t.Fatal(err)
		}
		s.URL = serveHandler(t, httpapi.NewServer(handler, broken.Log))
	}
	base := cmp.Or(options.Base, overTCP())
	s.Client = &http.Client{Transport: s.canaries.watch(Document().transportOver(t, string(engine), base))}
	t.Cleanup(func() { s.canaries.check(t, s) })
	return s
}

func (s *Server) config(t testing.TB, options Options) server.Config {
	t.Helper()
	config := server.Config{
		Addr: cmp.Or(options.Addr, "127.0.0.1:0"), AdminAddr: "127.0.0.1:0", DatabaseURL: s.databaseURL, Secret: Secret,
		TLSCert: options.TLSCert, TLSKey: options.TLSKey,
		PublicURL: PublicURL, LinkURL: PublicURL, Audience: PublicURL,
		Brand:             brand.Brand{Name: brand.DefaultName, Color: brand.DefaultColor},
		SigningAlgorithm:  cmp.Or(signing.Algorithm(options.Algorithm), signing.ES256),
		KeyReloadInterval: time.Hour, // tests reload keys themselves
		AccessTokenTTL:    15 * time.Minute, RefreshTokenTTL: 336 * time.Hour, SessionTTL: 720 * time.Hour,
		RefreshGrace: 30 * time.Second, ResetTokenTTL: 30 * time.Minute, AuditRetention: 30 * 24 * time.Hour,
		SMTPURL: s.mailbox.url, MailFrom: "Sesame <no-reply@auth.example.test>",
		Registration:      cmp.Or(options.Registration, auth.RegistrationOpen),
		EmailVerification: cmp.Or(options.EmailVerification, auth.VerificationOff),
		NewLoginEmails:    options.NewLoginEmails,
		Passkeys:          passkey.Config{ID: RPID, Name: brand.DefaultName, Origins: []string{PublicURL, AppOrigin}},
		ThrottleOff:       !options.Throttle,
		Log:               slog.New(slog.NewJSONHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:               s.Clock.Now,
	}
	if options.Secret != nil {
		config.Secret, config.PreviousSecret = options.Secret, options.PreviousSecret
	}
	config.Passwords.MinLength = options.MinLength
	if options.RefreshGrace != 0 {
		config.RefreshGrace = max(0, options.RefreshGrace)
	}
	config.Hashing = password.Config{AtOnce: runtime.GOMAXPROCS(0), Wait: time.Minute, Parameters: password.WeakParameters}
	if options.SlowHashing {
		config.Hashing.AtOnce, config.Hashing.Parameters = 1, password.DefaultParameters
	}
	if options.NoHashing {
		config.Hashing.AtOnce, config.Hashing.Wait = 0, 0
	}
	if options.Mailbox {
		config.SMTPURL, config.DataDir = "", t.TempDir()
	}
	if options.Traces != nil {
		s.Collector = otlptest.Start(t)
		config.Traces = s.Collector.Config(t, options.Traces)
	}
	var err error
	if options.BehindProxy {
		if config.TrustedProxies, err = httpapi.ParseProxies("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	if config.CORSOrigins, err = httpapi.ParseOrigins(options.CORSOrigins); err != nil {
		t.Fatal(err)
	}
	return config
}

// serve runs the server until the test ends.
func (s *Server) serve(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

// serveHandler serves a handler until the test ends and returns its URL.
func serveHandler(t testing.TB, server *http.Server) string {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close server: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

// CloseDatabase closes the database to simulate an outage.
func (s *Server) CloseDatabase(t testing.TB) {
	t.Helper()
	s.canaries.dump(t, s)
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
}

// Log records the log of the server.
type Log struct {
	mu      sync.Mutex
	content bytes.Buffer
}

// Write appends a line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(line)
}

// String returns the log so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}
