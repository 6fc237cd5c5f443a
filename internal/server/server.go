// Package server assembles Sesame. `sesame serve`, the other commands and the tests all use [New].
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/web"
)

// Config configures a Server. Fields without a comment are required. docs/configuration.md
// describes the settings of the same names.
type Config struct {
	Addr, AdminAddr string // host:port
	PublicURL       string // without a trailing slash
	ResetURL        string // the page where users reset their password
	AppURL          string // empty: none
	Brand           brand.Brand
	TrustedProxies  httpapi.Proxies
	CORSOrigins     httpapi.Origins
	Profiling       bool

	DataDir        string
	DatabaseURL    string        // empty: SQLite in DataDir
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
	ThrottleOff       bool
	Passwords         password.Policy
	Hashing           password.Config

	SMTPURL  string // empty: emails become files in DataDir
	MailFrom string

	Log *slog.Logger
	Now func() time.Time
}

// MailDir returns the folder where emails become files if there is no SMTP server.
func (c Config) MailDir() string { return filepath.Join(c.DataDir, "mail") }

// Mailbox reports whether the admin listener serves the development mailbox. Its emails give access
// to every account, so there must be no SMTP server, and only this machine may be able to reach the
// admin listener. A proxy in front of the API does not reach it.
func (c Config) Mailbox() bool {
	host, _, err := net.SplitHostPort(c.AdminAddr)
	return c.SMTPURL == "" && err == nil && IsLoopback(host)
}

// Server is an assembled Sesame. The fields are its parts, for commands and tests.
type Server struct {
	DB   *database.DB
	Auth *auth.Service
	Keys *signing.Keyring
	API  httpapi.Config // of the handler that Serve serves

	config   Config
	hasher   *password.Hasher
	outbox   *mail.Outbox
	metrics  *httpapi.Metrics
	handler  http.Handler // of the API
	admin    http.Handler
	draining atomic.Bool

	apiListener, adminListener net.Listener
}

// New opens and migrates the database and assembles a Server. It does not listen. The caller must
// call Close.
func New(ctx context.Context, config Config) (*Server, error) {
	db, err := OpenDatabase(ctx, config)
	if err != nil {
		return nil, err
	}
	s := &Server{DB: db, config: config}
	if err := s.assemble(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// OpenDatabase opens and migrates the database that the configuration names.
func OpenDatabase(ctx context.Context, config Config) (*database.DB, error) {
	databaseURL := config.DatabaseURL
	if databaseURL == "" {
		if err := os.MkdirAll(config.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("make data folder: %w", err)
		}
		databaseURL = "sqlite:" + filepath.Join(config.DataDir, "sesame.db")
	}
	db, err := database.Open(ctx, databaseURL)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (s *Server) assemble(ctx context.Context) (err error) {
	c := s.config
	secrets, err := loadSecrets(c)
	if err != nil {
		return err
	}
	s.Keys, err = signing.Open(ctx, signing.Config{
		DB: s.DB, Secrets: secrets, Algorithm: c.SigningAlgorithm, TokenLifetime: c.AccessTokenTTL, Now: c.Now,
	})
	if errors.Is(err, signing.ErrSealed) {
		return fmt.Errorf("%w: SESAME_SECRET, or the file secret in the data folder, "+
			"is not the one this database was created with", err)
	}
	if err != nil {
		return err
	}
	sender, err := newSender(c)
	if err != nil {
		return err
	}
	s.hasher = password.NewHasher(c.Hashing)
	s.outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.DB, Sender: sender, Log: c.Log, Now: c.Now})
	s.Auth = auth.New(auth.Config{
		DB: s.DB, Outbox: s.outbox, Hasher: s.hasher, Passwords: c.Passwords, Now: c.Now,
		AccessTokens: token.NewAccessTokens(token.AccessConfig{
			Keys: s.Keys, Issuer: c.PublicURL, Audience: c.Audience, Lifetime: c.AccessTokenTTL, Now: c.Now,
		}),
		RefreshTokens:   token.NewRefreshCodec(secrets),
		Throttle:        throttle.New(throttle.Config{DB: s.DB, Secret: secrets[0], Now: c.Now, Off: c.ThrottleOff}),
		SessionLifetime: c.SessionTTL, IdleLifetime: c.RefreshTokenTTL, RefreshGrace: c.RefreshGrace,
		ResetTokenLifetime: c.ResetTokenTTL, AuditRetention: c.AuditRetention, ResetURL: c.ResetURL, Brand: c.Brand,
	})
	pools, err := s.DB.Pools()
	if err != nil {
		return err
	}
	s.metrics = httpapi.NewMetrics(s.hasher, s.outbox, pools)
	s.API = httpapi.Config{
		Auth: s.Auth, Keys: s.Keys, Metrics: s.metrics, Log: c.Log,
		PublicURL: c.PublicURL, ResetURL: c.ResetURL, AppURL: c.AppURL, Brand: c.Brand,
		TrustedProxies: c.TrustedProxies, CORSOrigins: c.CORSOrigins, Passwords: c.Passwords,
	}
	if s.handler, err = httpapi.New(s.API); err != nil {
		return err
	}
	admin := httpapi.AdminConfig{Ready: s.ready, Metrics: s.metrics, Profiling: c.Profiling, Log: c.Log}
	if c.Mailbox() {
		if admin.Mailbox, err = web.NewMailbox(web.Config{Brand: c.Brand}, c.MailDir(), c.Log); err != nil {
			return err
		}
	}
	s.admin = httpapi.NewAdmin(admin)
	return nil
}

func newSender(c Config) (mail.Sender, error) {
	if c.SMTPURL == "" {
		return mail.NewFolder(c.MailDir(), c.MailFrom)
	}
	return mail.NewSMTP(c.SMTPURL, c.MailFrom, nil)
}

// Close stops the child processes and closes the database.
func (s *Server) Close() error {
	s.hasher.Close()
	return s.DB.Close()
}
