// Package server assembles Sesame. `sesame serve`, the other commands and the tests all use [New].
package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/tracing/otlp"
	"github.com/sesame-auth/sesame/internal/web"
)

// Config configures a Server. Fields without a comment are required. docs/configuration.md
// describes the settings of the same names.
type Config struct {
	Addr, AdminAddr string // host:port, or unix: and the path of a socket
	TLSCert, TLSKey string // PEM files; empty: plain HTTP
	PublicURL       string // without a trailing slash
	LinkURL         string // where the pages for emailed links are, without a trailing slash
	AppURL          string // empty: none
	Brand           brand.Brand
	TrustedProxies  httpapi.Proxies
	CORSOrigins     httpapi.Origins
	Profiling       bool
	DrainDelay      time.Duration // how long Serve accepts requests after its context is done

	DataDir        string
	DatabaseURL    string        // empty: SQLite in DataDir
	DatabaseWait   time.Duration // how long New waits for a PostgreSQL that is down
	Secret         secret.Secret // nil: kept in DataDir
	PreviousSecret secret.Secret // nil: none

	SigningAlgorithm  signing.Algorithm
	KeyReloadInterval time.Duration
	Audience          string
	AccessTokenTTL    time.Duration
	RefreshTokenTTL   time.Duration
	SessionTTL        time.Duration
	RefreshGrace      time.Duration
	ResetTokenTTL     time.Duration
	AuditRetention    time.Duration
	Registration      auth.RegistrationMode
	EmailVerification auth.EmailVerification
	NewLoginEmails    bool
	Passkeys          passkey.Config
	ThrottleOff       bool
	Passwords         password.Policy
	Hashing           password.Config

	SMTPURL   string         // empty: emails become files in DataDir
	SMTPRoots *x509.CertPool // nil: the certificate authorities of the system
	MailFrom  string

	APIListener, AdminListener net.Listener // in place of Addr and AdminAddr; nil: Listen opens them
	OnReady                    func()       // called once, when the server is ready; nil: nothing

	Traces otlp.Config // the zero value: there are none
	Log    *slog.Logger
	Now    func() time.Time
}

// MailDir returns the folder where emails become files if there is no SMTP server.
func (c Config) MailDir() string { return filepath.Join(c.DataDir, "mail") }

// Mailbox reports whether the admin listener serves the development mailbox. Its emails give access
// to every account, so there must be no SMTP server, and only this machine may be able to reach the
// admin listener. A proxy in front of the API does not reach it. Browsers cannot open a Unix socket.
func (c Config) Mailbox() bool {
	host, _, err := net.SplitHostPort(c.AdminAddr)
	return c.SMTPURL == "" && err == nil && IsLoopback(host)
}

// Server is an assembled Sesame. The fields are its parts, for commands and tests.
type Server struct {
	DB     *database.DB
	Auth   *auth.Service
	Keys   *signing.Keyring
	Outbox *mail.Outbox
	API    httpapi.Config // of the handler that Serve serves
	Traces *otlp.Traces   // nil: there are none

	config      Config
	folder      *dataFolder // nil: not the folder of a running server
	hasher      *password.Hasher
	sender      mail.Sender
	connections *httpapi.Connections // of the API
	metrics     *httpapi.Metrics
	handler     http.Handler // of the API
	admin       http.Handler
	draining    atomic.Bool
	health      health
	lastUsed    time.Time // the newest event before the server was assembled

	apiListener, adminListener net.Listener
	certificate                *certificate // nil: plain HTTP
}

// New opens the database, creates and migrates it if necessary, and assembles a Server. It does not
// listen. The caller must call Close.
func New(ctx context.Context, config Config) (_ *Server, err error) {
	s := &Server{config: config, health: health{err: errUnchecked, onReady: config.OnReady}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if config.DatabaseURL == "" {
		if s.folder, err = openDataFolder(config.DataDir, config.Log); err != nil {
			return nil, err
		}
	}
	var applied []database.Migration
	if s.DB, applied, err = openMigrated(ctx, config); err != nil {
		return nil, err
	}
	for _, migration := range applied {
		config.Log.Info("migrated the database", "migration", migration.Name)
	}
	if s.lastUsed, err = audit.Newest(ctx, s.DB); err != nil { // before assemble creates a key
		return nil, err
	}
	if !config.Traces.IsOff() {
		if s.Traces, err = otlp.New(ctx, config.Traces, config.Log); err != nil {
			return nil, err
		}
	}
	if err := s.assemble(ctx); err != nil {
		return nil, err
	}
	if s.folder != nil {
		s.folder.warnIfExposed(config.Log)
	}
	return s, nil
}

// Open is like New, for commands that run next to servers: it neither creates nor migrates the
// database.
func Open(ctx context.Context, config Config) (*Server, error) {
	db, err := OpenDatabase(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Server{DB: db, config: config}
	if err := s.assemble(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// assemble makes the parts of the server, each from those before it.
func (s *Server) assemble(ctx context.Context) error {
	secrets, throttleKey, err := s.openKeys(ctx)
	if err != nil {
		return err
	}
	sender, err := newSender(s.config)
	if err != nil {
		return err
	}
	s.sender = sender
	passkeys, err := passkey.New(s.config.Passkeys)
	if err != nil {
		return err
	}
	s.metrics = httpapi.NewMetrics()
	if err := s.DB.Observe(s.metrics.Executed); err != nil {
		return err
	}
	c := s.config
	c.Hashing.Observe = s.metrics.Hashed
	s.hasher = password.NewHasher(c.Hashing)
	s.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.DB, Sender: sender, Log: c.Log, Now: c.Now, Tracer: s.tracer()})
	s.Auth = auth.New(auth.Config{
		DB: s.DB, Outbox: s.Outbox, Hasher: s.hasher, Passwords: c.Passwords, Now: c.Now, Observer: s.metrics, Log: c.Log,
		AccessTokens: token.NewAccessTokens(token.AccessConfig{
			Keys: s.Keys, Issuer: c.PublicURL, Audience: c.Audience, Lifetime: c.AccessTokenTTL, Now: c.Now,
		}),
		RefreshTokens: token.NewRefreshCodec(secrets), Challenges: token.NewChallenges(secrets, c.Now),
		TOTPSealer: auth.NewTOTPSealer(secrets), Passkeys: passkeys,
		Throttle:        throttle.New(throttle.Config{DB: s.DB, Key: throttleKey, Now: c.Now, Off: c.ThrottleOff}),
		SessionLifetime: c.SessionTTL, IdleLifetime: c.RefreshTokenTTL, RefreshGrace: c.RefreshGrace,
		ResetTokenLifetime: c.ResetTokenTTL, AuditRetention: c.AuditRetention, LinkURL: c.LinkURL, Brand: c.Brand,
		EmailVerification: c.EmailVerification, Registration: c.Registration, NewLoginEmails: c.NewLoginEmails,
	})
	return s.newHandlers()
}

// openKeys opens the signing keys. It returns the secrets, the current one first, and the key of
// the rate limits.
func (s *Server) openKeys(ctx context.Context) (secrets []secret.Secret, throttleKey []byte, err error) {
	c := s.config
	if secrets, err = s.loadSecrets(ctx); err != nil {
		return nil, nil, err
	}
	s.Keys, err = signing.Open(ctx, signing.Config{
		DB: s.DB, Secrets: secrets, Algorithm: c.SigningAlgorithm, TokenLifetime: c.AccessTokenTTL, Now: c.Now,
	})
	if err == nil {
		throttleKey, err = throttle.LoadKey(ctx, s.DB, secrets)
	}
	if errors.Is(err, secret.ErrSealed) {
		err = fmt.Errorf("%w: SESAME_SECRET, or the file secret in the data folder, "+
			"is not the one this database was created with", err)
	}
	return secrets, throttleKey, err
}

// newHandlers makes the handlers of the API and of the admin listener.
func (s *Server) newHandlers() error {
	c := s.config
	pools, err := s.DB.Pools()
	if err != nil {
		return err
	}
	s.connections = httpapi.NewConnections(MaxConnections())
	watched := httpapi.Watched{
		Ready: s.ready, Connections: s.connections, Hasher: s.hasher, Outbox: s.Outbox, Keys: s.Keys,
		Pools: pools, WALBytes: s.DB.WALBytes,
	}
	if c.TLSCert != "" {
		watched.CertificateExpiry = func() time.Time { return s.certificate.expiry() }
	}
	s.metrics.Watch(watched)
	s.API = httpapi.Config{
		Auth: s.Auth, Keys: s.Keys, Metrics: s.metrics, Seen: &httpapi.Sightings{}, Log: c.Log, Tracer: s.tracer(),
		PublicURL: c.PublicURL, LinkURL: c.LinkURL, AppURL: c.AppURL, Brand: c.Brand,
		TrustedProxies: c.TrustedProxies, CORSOrigins: c.CORSOrigins, Passwords: c.Passwords,
	}
	if s.handler, err = httpapi.New(s.API); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(c.AdminAddr) // Listen reports an invalid one
	admin := httpapi.AdminConfig{
		Ready: s.ready, Metrics: s.metrics, Seen: s.API.Seen, Profiling: c.Profiling, Host: host, Log: c.Log,
	}
	if c.Mailbox() {
		if admin.Mailbox, err = web.NewMailbox(web.Config{Brand: c.Brand}, c.MailDir(), c.Log); err != nil {
			return err
		}
	}
	s.admin = httpapi.NewAdmin(admin)
	return nil
}

// tracer returns the tracer of requests and emails, or nil if there are no traces.
func (s *Server) tracer() trace.Tracer {
	if s.Traces == nil {
		return nil
	}
	return s.Traces.Tracer()
}

func newSender(c Config) (mail.Sender, error) {
	if c.SMTPURL == "" {
		return mail.NewFolder(c.MailDir(), c.MailFrom)
	}
	return mail.NewSMTP(c.SMTPURL, c.MailFrom, c.SMTPRoots)
}

// Close stops the child processes, exports the last traces, and closes the connections to the mail
// server and the database.
func (s *Server) Close() (err error) {
	if s.hasher != nil {
		s.hasher.Close()
	}
	if s.sender != nil {
		s.sender.Close()
	}
	if s.Traces != nil {
		s.Traces.Close()
	}
	if s.DB != nil {
		err = s.DB.Close()
	}
	if s.folder != nil {
		err = errors.Join(err, s.folder.close())
	}
	return err
}
