package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/signing"
)

// config is the configuration of the server and of its log. This file is the only one that reads the environment.
type config struct {
	server.Config

	logFormat string
	logLevel  slog.Level
}

// setting is one variable of the environment.
type setting struct {
	name, fallback, help string
	secret               bool // never printed; may stand in a file that NAME_FILE names
	set                  func(c *config, value string) error
}

// settings is every setting there is; the table of the README is held against it.
var settings = []setting{
	{name: "SESAME_ADDR", fallback: "127.0.0.1:8080", help: "where the API listens",
		set: func(c *config, v string) error { c.Addr = v; return checkAddress(v) }},
	{name: "SESAME_ADMIN_ADDR", fallback: "127.0.0.1:8081", help: "where `/livez`, `/readyz` and `/metrics` listen; keep clients away from it",
		set: func(c *config, v string) error { c.AdminAddr = v; return checkAddress(v) }},
	{name: "SESAME_PUBLIC_URL", help: "where clients reach the API: the issuer of tokens and the beginning of mailed links; empty: `http://` and `SESAME_ADDR`, if that is a loopback address",
		set: func(c *config, v string) error { c.PublicURL = strings.TrimRight(v, "/"); return nil }},
	{name: "SESAME_RESET_URL", help: "a page of yours that reset links lead to, with `#token=…` behind it; empty: `/reset-password` of the public URL",
		set: func(c *config, v string) error { c.ResetURL = v; return nil }},
	{name: "SESAME_APP_URL", help: "where users log in to your application; the reset page links to it when the password was changed. If empty, there is no link.",
		set: func(c *config, v string) error { c.AppURL = v; return nil }},
	{name: "SESAME_BRAND_NAME", fallback: brand.DefaultName, help: "the service's name, on pages and in mails",
		set: func(c *config, v string) error { c.Brand.Name = v; return brand.CheckName(v) }},
	{name: "SESAME_BRAND_COLOR", fallback: brand.DefaultColor, help: "the color of buttons and links on pages, as `#rrggbb`; dark enough for white letters",
		set: func(c *config, v string) error { c.Brand.Color = v; return brand.CheckColor(v) }},
	{name: "SESAME_DATA_DIR", fallback: "./sesame-data", help: "folder of the SQLite database, its secret, and mails when there is no SMTP server",
		set: func(c *config, v string) (err error) { c.DataDir, err = filepath.Abs(v); return err }},
	{name: "SESAME_DATABASE_URL", secret: true, help: "`postgres://…`; empty: SQLite in the data folder",
		set: func(c *config, v string) error { c.DatabaseURL = v; return checkDatabaseURL(v) }},
	{name: "SESAME_SECRET", secret: true, help: "32 bytes or more in base64 (`openssl rand -base64 32`), from which all keys are derived; needed with PostgreSQL; with SQLite, empty: made at first start and kept in the data folder",
		set: func(c *config, v string) (err error) {
			if v != "" {
				c.Secret, err = secret.Parse(v)
			}
			return err
		}},
	{name: "SESAME_SECRET_PREVIOUS", secret: true, help: "another secret that still counts, while the secret is rotated (see docs/operations.md)",
		set: func(c *config, v string) (err error) {
			if v != "" {
				c.PreviousSecret, err = secret.Parse(v)
			}
			return err
		}},
	{name: "SESAME_SIGNING_ALGORITHM", fallback: string(signing.ES256), help: "how access tokens are signed: `ES256` or `EdDSA`",
		set: func(c *config, v string) error {
			c.SigningAlgorithm = signing.Algorithm(v)
			return oneOf(c.SigningAlgorithm, signing.Algorithms...)
		}},
	{name: "SESAME_RELOAD_KEYS", fallback: "10s", help: "how often an instance looks for signing keys that another one, or `sesame keys`, changed",
		set: duration(func(c *config) *time.Duration { return &c.KeyReloadInterval }, time.Second, 5*time.Minute)},
	{name: "SESAME_AUDIENCE", help: "the `aud` of access tokens; empty: the public URL",
		set: func(c *config, v string) error { c.Audience = v; return nil }},
	{name: "SESAME_SMTP_URL", secret: true, help: "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`; empty: mails become files in the data folder's `mail/`",
		set: func(c *config, v string) error { c.SMTPURL = v; return checkSMTPURL(v) }},
	{name: "SESAME_MAIL_FROM", fallback: "Sesame <no-reply@localhost>", help: "the sender of mails",
		set: func(c *config, v string) error {
			c.MailFrom = v
			if mail.CheckFrom(v) != nil {
				return errors.New("must be an address, such as Sesame <no-reply@example.com>")
			}
			return nil
		}},
	{name: "SESAME_ACCESS_TOKEN_TTL", fallback: "15m", help: "lifetime of an access token",
		set: duration(func(c *config) *time.Duration { return &c.AccessTokenTTL }, 10*time.Second, 24*time.Hour)},
	{name: "SESAME_REFRESH_TOKEN_TTL", fallback: "336h", help: "how long a session lasts without a refresh",
		set: duration(func(c *config) *time.Duration { return &c.RefreshTokenTTL }, time.Minute, 10*365*24*time.Hour)},
	{name: "SESAME_SESSION_TTL", fallback: "720h", help: "how long a session lasts, however busy",
		set: duration(func(c *config) *time.Duration { return &c.SessionTTL }, time.Minute, 10*365*24*time.Hour)},
	{name: "SESAME_REFRESH_GRACE", fallback: "30s", help: "how long a refresh token just traded answers the same successor again; `0s`: never",
		set: duration(func(c *config) *time.Duration { return &c.RefreshGrace }, 0, 10*time.Minute)},
	{name: "SESAME_RESET_TOKEN_TTL", fallback: "30m", help: "lifetime of a reset link",
		set: duration(func(c *config) *time.Duration { return &c.ResetTokenTTL }, time.Minute, 24*time.Hour)},
	{name: "SESAME_AUDIT_RETENTION", fallback: "8760h", help: "how long events are kept that `sesame audit` prints",
		set: duration(func(c *config) *time.Duration { return &c.AuditRetention }, 24*time.Hour, 20*365*24*time.Hour)},
	{name: "SESAME_THROTTLE", fallback: "on", help: "`off` switches every limit on attempts and mails off",
		set: func(c *config, v string) error { c.ThrottleOff = v == "off"; return oneOf(v, "on", "off") }},
	{name: "SESAME_TRUSTED_PROXIES", help: "comma-separated addresses and CIDRs of the proxies whose `X-Forwarded-For` tells the client's address; empty: the peer is the client",
		set: func(c *config, v string) (err error) { c.TrustedProxies, err = httpapi.ParseProxies(v); return err }},
	{name: "SESAME_CORS_ORIGINS", help: "comma-separated origins whose pages may call the API from a browser, such as `https://app.example.com`; empty: none but its own",
		set: func(c *config, v string) (err error) { c.CORSOrigins, err = httpapi.ParseOrigins(v); return err }},
	{name: "SESAME_PPROF", fallback: "off", help: "`on` adds `/debug/pprof/` to the admin listener",
		set: func(c *config, v string) error { c.Profiling = v == "on"; return oneOf(v, "on", "off") }},
	{name: "SESAME_LOG_FORMAT", help: "`text` or `json`; empty: text on a terminal, else JSON",
		set: func(c *config, v string) error { c.logFormat = v; return oneOf(v, "", "text", "json") }},
	{name: "SESAME_LOG_LEVEL", fallback: "info", help: "`debug`, `info`, `warn` or `error`",
		set: func(c *config, v string) error {
			if err := oneOf(v, "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.logLevel.UnmarshalText([]byte(v))
		}},
}

// load reads the environment, a list of NAME=value. The error, a usageError, lists every fault there is.
func load(environment []string) (*config, error) {
	given, faults := values(environment)
	var c config
	for _, s := range settings {
		value, ok := given[s.name]
		if !ok {
			value = s.fallback
		}
		if err := s.set(&c, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	faults = append(faults, c.together(given)...)
	if len(faults) > 0 {
		return nil, usageError{fmt.Errorf("the configuration has %d fault(s):\n%w", len(faults), errors.Join(faults...))}
	}
	return &c, nil
}

// values collects the settings of the environment, those in files included, and what is wrong with them. A
// variable that is set but empty counts as not set.
func values(environment []string) (map[string]string, []error) {
	given, faults := make(map[string]string), []error(nil)
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "SESAME_") || strings.HasPrefix(name, "SESAME_TEST_") || value == "" {
			continue
		}
		if slices.ContainsFunc(settings, func(s setting) bool { return s.name == name }) {
			given[name] = value
			continue
		}
		named := strings.TrimSuffix(name, "_FILE")
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == named && s.secret }) {
			faults = append(faults, fmt.Errorf("%s: there is no such setting; `sesame config` lists them", name))
			continue
		}
		content, err := os.ReadFile(value) //nolint:gosec // the operator names the file
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if slices.ContainsFunc(environment, func(other string) bool { return strings.HasPrefix(other, named+"=") && other != named+"=" }) {
			faults = append(faults, fmt.Errorf("%s: %s is set too; set one of them", name, named))
			continue
		}
		given[named] = strings.TrimSpace(string(content))
	}
	return given, faults
}

// together is what is wrong with settings that are right by themselves.
func (c *config) together(given map[string]string) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.PublicURL == "" {
		if host, _, err := net.SplitHostPort(c.Addr); err == nil && !server.IsLoopback(host) {
			fault("SESAME_PUBLIC_URL: must be set when SESAME_ADDR is not a loopback address")
		}
		c.PublicURL = "http://" + c.Addr
	} else if err := checkPublicURL(c.PublicURL); err != nil {
		fault("SESAME_PUBLIC_URL: %w", err)
	}
	if c.ResetURL == "" {
		c.ResetURL = c.PublicURL + "/reset-password"
	} else if err := checkPublicURL(c.ResetURL); err != nil {
		fault("SESAME_RESET_URL: %w", err)
	}
	if c.AppURL != "" {
		if err := checkPublicURL(c.AppURL); err != nil {
			fault("SESAME_APP_URL: %w", err)
		}
	}
	if c.Audience == "" {
		c.Audience = c.PublicURL
	}
	if c.DatabaseURL != "" && given["SESAME_SECRET"] == "" {
		fault("SESAME_SECRET: must be set with PostgreSQL, to the same value on every instance; make one with: openssl rand -base64 32")
	}
	if c.SMTPURL != "" && given["SESAME_MAIL_FROM"] == "" {
		fault("SESAME_MAIL_FROM: must be set with SESAME_SMTP_URL")
	}
	if c.Addr == c.AdminAddr {
		fault("SESAME_ADMIN_ADDR: must differ from SESAME_ADDR")
	}
	if c.RefreshTokenTTL != 0 && c.RefreshTokenTTL < c.AccessTokenTTL {
		fault("SESAME_REFRESH_TOKEN_TTL: must not be shorter than SESAME_ACCESS_TOKEN_TTL")
	}
	if c.SessionTTL != 0 && c.SessionTTL < c.RefreshTokenTTL {
		fault("SESAME_SESSION_TTL: must not be shorter than SESAME_REFRESH_TOKEN_TTL")
	}
	return faults
}

// warnings is what is allowed and may not be meant.
func (c *config) warnings() []string {
	host, _, err := net.SplitHostPort(c.AdminAddr)
	if c.Profiling && (err != nil || !server.IsLoopback(host)) {
		return []string{"SESAME_PPROF is on and SESAME_ADMIN_ADDR is not a loopback address: whoever reaches it can slow the server down"}
	}
	return nil
}
