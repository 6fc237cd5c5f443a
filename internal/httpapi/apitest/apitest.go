// Package apitest runs a whole Sesame in the test's process: the real handler behind a real listener, over a
// real database, mailing to a real SMTP server. Its client holds every answer against the contract, and at
// the end of the test no secret that went over the wire may stand in the database, the log or the metrics.
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/httpapi/contracttest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/web"
)

func init() { password.TestingOnlyWeaken() }

// PublicURL is the configured one; mailed links begin with it, wherever the server really listens.
const PublicURL = "https://auth.example.test"

// Secret is the installation's. It is the same in every test, so that a test can make tokens of its own.
var Secret = token.Secret("a secret of thirty-two bytes, and more")

// Contract is the contract that every answer is held against.
var Contract = sync.OnceValue(func() *contracttest.Contract {
	contract, err := contracttest.Load()
	if err != nil {
		panic(err)
	}
	return contract
})

// Server is a running Sesame.
type Server struct {
	URL      string
	AdminURL string       // of the admin listener
	Client   *http.Client // checks answers
	DB       *gorm.DB
	Keys     *token.Keyring
	Clock    *Clock
	Log      *Log
	mailbox  *mailbox
	canaries *canaries

	Authority *auth.Authority // the server's own, for what an operator does
}

// Options change what a test's server is like. The zero value is the default configuration.
type Options struct {
	RefreshGrace time.Duration    // 0: 30 s; negative: none
	WithoutKeys  bool             // the operations that need the keyring panic
	Hasher       *password.Hasher // nil: one whose calls wait for as long as a test takes
	Throttle     bool             // limits are on; most tests come from one address more often than they allow
	BehindProxy  bool             // the client is a trusted proxy: X-Forwarded-For tells whom it speaks for
	CORSOrigins  string           // whose pages may call the API, separated by commas
}

// Start runs a server until the test ends.
func Start(t testing.TB, engine databasetest.Engine, options Options) *Server {
	t.Helper()
	db := databasetest.New(t, engine)
	return StartOn(t, engine, db, options)
}

// StartOn is Start over a database the test has, for two instances beside each other.
func StartOn(t testing.TB, engine databasetest.Engine, db *gorm.DB, options Options) *Server {
	t.Helper()
	s := &Server{DB: db, Clock: &Clock{}, Log: &Log{}, canaries: &canaries{}}
	log := slog.New(slog.NewJSONHandler(s.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if s.Keys, err = token.OpenKeyring(t.Context(), db, token.Secrets{Secret}, token.ES256, 15*time.Minute, s.Clock.Now); err != nil {
		t.Fatal(err)
	}
	s.mailbox = newMailbox(t)
	sender, err := mail.NewSMTP(s.mailbox.url, "Sesame <no-reply@auth.example.test>", nil)
	if err != nil {
		t.Fatal(err)
	}
	outbox := mail.NewOutbox(db, sender, log, s.Clock.Now)
	settings := auth.Settings{
		SessionLifetime: 720 * time.Hour, IdleLifetime: 336 * time.Hour, RefreshGrace: 30 * time.Second,
		ResetTokenLifetime: 30 * time.Minute, AuditRetention: 30 * 24 * time.Hour, ResetURL: PublicURL + "/reset-password", Product: "Sesame",
	}
	if options.RefreshGrace != 0 {
		settings.RefreshGrace = max(0, options.RefreshGrace)
	}
	access := token.NewAccessTokens(s.Keys, PublicURL, PublicURL, 15*time.Minute, s.Clock.Now)
	hasher := options.Hasher
	if hasher == nil {
		hasher = password.NewHasher(runtime.GOMAXPROCS(0), time.Minute)
	}
	var limits *throttle.Throttle
	if options.Throttle {
		limits = throttle.New(db, Secret, s.Clock.Now)
	}
	s.Authority = auth.New(db, access, token.NewRefreshCodec(token.Secrets{Secret}), outbox, hasher, limits, settings, s.Clock.Now)
	keys := s.Keys
	if options.WithoutKeys {
		keys = nil
	}
	edge := httpapi.Settings{PublicURL: PublicURL, ResetURL: settings.ResetURL, Brand: web.Brand{Name: "Sesame", Color: web.DefaultColor}}
	if options.BehindProxy {
		if edge.TrustedProxies, err = httpapi.ParseProxies("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	if edge.CORSOrigins, err = httpapi.ParseOrigins(options.CORSOrigins); err != nil {
		t.Fatal(err)
	}
	pools, err := database.Pools(db)
	if err != nil {
		t.Fatal(err)
	}
	metrics := httpapi.NewMetrics(hasher, outbox, pools)
	handler, err := httpapi.New(s.Authority, keys, metrics, edge, log)
	if err != nil {
		t.Fatal(err)
	}
	ready := func(ctx context.Context) error { return database.Migrated(ctx, db) }
	s.URL = serve(t, httpapi.NewServer(handler, log))
	s.AdminURL = serve(t, httpapi.NewServer(httpapi.NewAdmin(ready, metrics, false, log), log))
	s.Client = &http.Client{Transport: s.canaries.watch(Contract().Transport(t, string(engine)))}
	s.runOutbox(t, outbox)
	t.Cleanup(func() { s.canaries.check(t, s) })
	return s
}

// serve runs a server until the test ends and returns its URL.
func serve(t testing.TB, server *http.Server) string {
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
		if err := <-served; err == nil {
			t.Error("the server ended by itself")
		}
	})
	return "http://" + listener.Addr().String()
}

func (s *Server) runOutbox(t testing.TB, outbox *mail.Outbox) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		outbox.Run(ctx, s.Authority.Letters())
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// CloseDatabase takes the database away, as an outage does.
func (s *Server) CloseDatabase(t testing.TB) {
	t.Helper()
	s.canaries.dump(t, s)
	if err := database.Close(s.DB); err != nil {
		t.Fatal(err)
	}
}

// Clock is a clock that a test can move and stop.
type Clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // zero: it goes
}

// Now is the real time, or the one the clock was stopped at, moved.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// Stop lets time pass by Advance only.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now()
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// Log keeps what the server logs.
type Log struct {
	mu      sync.Mutex
	content bytes.Buffer
}

// Write takes one line.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(line)
}

// String is everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}
