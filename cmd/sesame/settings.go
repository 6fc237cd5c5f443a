package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/signing"
)

// config is the configuration of the server and of its log.
type config struct {
	server.Config

	drainSet  bool // SESAME_DRAIN_DELAY is set
	logFormat string
	logLevel  slog.Level
}

// setting is one environment variable.
type setting struct {
	name, fallback, help string
	secret               bool // never printed; may be in a file that NAME_FILE names
	set                  func(c *config, value string) error
}

// settingGroup is a section of docs/configuration.md, which is generated from the groups.
type settingGroup struct {
	title    string
	settings []setting
}

var settingGroups = []settingGroup{
	{"Network", []setting{
		{name: "SESAME_ADDR", fallback: "127.0.0.1:8080",
			help: "Where the API listens: `host:port`, or `unix:` and the path of a socket, such as " +
				"`unix:/run/sesame/api.sock` (see [operations.md](operations.md#unix-sockets)).",
			set: func(c *config, v string) error { c.Addr = v; return checkAddr(v) }},
		{name: "SESAME_ADMIN_ADDR", fallback: "127.0.0.1:8081",
			help: "Where `/livez`, `/readyz` and `/metrics` listen, likewise. Clients must not reach it.",
			set:  func(c *config, v string) error { c.AdminAddr = v; return checkAddr(v) }},
		{name: "SESAME_TLS_CERT",
			help: "A PEM file with the certificate of the API and those that lead to its root, such as `fullchain.pem`. " +
				"Default: plain HTTP (see [operations.md](operations.md#tls)).",
			set: func(c *config, v string) error { c.TLSCert = v; return nil }},
		{name: "SESAME_TLS_KEY", help: "A PEM file with the key of the certificate.",
			set: func(c *config, v string) error { c.TLSKey = v; return nil }},
		{name: "SESAME_PUBLIC_URL",
			help: "The URL at which clients reach the API: the issuer of tokens, and the start of emailed links. " +
				"Default: `http://`, or `https://` with a certificate, and `SESAME_ADDR`, if that is a loopback address.",
			set: func(c *config, v string) error { c.PublicURL = strings.TrimRight(v, "/"); return nil }},
		{name: "SESAME_TRUSTED_PROXIES",
			help: "IP addresses and CIDRs, separated by commas, of the proxies whose `X-Forwarded-For` and `Forwarded` are " +
				"trusted (see [operations.md](operations.md#behind-a-proxy)), or `none`: the IP address of the client is " +
				"that of the connection. Required if the public URL is https, unless the server itself handles TLS or is on " +
				"a Unix socket; otherwise the default is `none`.",
			set: func(c *config, v string) (err error) { c.TrustedProxies, err = httpapi.ParseProxies(v); return err }},
		{name: "SESAME_CORS_ORIGINS",
			help: "Origins, separated by commas, whose pages may call the API from a browser, " +
				"such as `https://app.example.com`. Default: none.",
			set: func(c *config, v string) (err error) { c.CORSOrigins, err = httpapi.ParseOrigins(v); return err }},
	}},
	{"Database and secret", []setting{
		{name: "SESAME_DATA_DIR", fallback: "./sesame-data",
			help: "The folder of the SQLite database, its secret, and the emails if there is no SMTP server.",
			set: func(c *config, v string) (err error) {
				if c.DataDir, err = filepath.Abs(v); err != nil {
					return err
				}
				return checkDataDir(c.DataDir)
			}},
		{name: "SESAME_DATABASE_URL", secret: true,
			help: "`postgres://user:password@host/database?sslmode=verify-full`. Default: SQLite in the data folder. " +
				"See [operations.md](operations.md#postgresql).",
			set: func(c *config, v string) error { c.DatabaseURL = v; return checkDatabaseURL(v) }},
		{name: "SESAME_DATABASE_WAIT", fallback: "30s",
			help: "How long `sesame serve` waits at start for a PostgreSQL that is down. `0s`: it exits at once.",
			set:  setDuration(func(c *config) *time.Duration { return &c.DatabaseWait }, 0, time.Hour)},
		{name: "SESAME_SECRET", secret: true,
			help: "At least 32 bytes in base64 (`openssl rand -base64 32`), from which all keys are derived. " +
				"Required with PostgreSQL. With SQLite the default is a new one, stored in the data folder.",
			set: setSecret(func(c *config) *secret.Secret { return &c.Secret })},
		{name: "SESAME_SECRET_PREVIOUS", secret: true,
			help: "Another secret that is also accepted, while the secret is rotated " +
				"(see [operations.md](operations.md#the-secret)).",
			set: setSecret(func(c *config) *secret.Secret { return &c.PreviousSecret })},
	}},
	{"Accounts", []setting{
		{name: "SESAME_REGISTRATION", fallback: string(auth.RegistrationOpen),
			help: "Who may register: `open`, everybody; `closed`, nobody, so that accounts come from `sesame users`; " +
				"`private`, everybody, without telling them whether an email already has an account. " +
				"`private` needs `SESAME_EMAIL_VERIFICATION=required`.",
			set: func(c *config, v string) error {
				c.Registration = auth.RegistrationMode(v)
				return oneOf(c.Registration, auth.RegistrationOpen, auth.RegistrationClosed, auth.RegistrationPrivate)
			}},
		{name: "SESAME_EMAIL_VERIFICATION", fallback: string(auth.VerificationOptional),
			help: "`off`: no emails are verified; `optional`: a link is sent at registration; " +
				"`required`: users log in only after they have used it.",
			set: func(c *config, v string) error {
				c.EmailVerification = auth.EmailVerification(v)
				return oneOf(c.EmailVerification,
					auth.VerificationOff, auth.VerificationOptional, auth.VerificationRequired)
			}},
		{name: "SESAME_NEW_LOGIN_EMAILS", fallback: "off",
			help: "`on` emails users about a login from a network that they have not used before.",
			set:  func(c *config, v string) error { c.NewLoginEmails = v == "on"; return oneOf(v, "on", "off") }},
	}},
	{"Passkeys", []setting{
		{name: "SESAME_PASSKEY_RP_ID",
			help: "The domain that passkeys are for: that of the pages that use them, or a parent of it, such as " +
				"`example.com`. Passkeys do not work any more if it changes. Default: the host of the public URL, or " +
				"`localhost` if that is an IP address, for which browsers have no passkeys.",
			set: func(c *config, v string) error { c.Passkeys.ID = v; return nil }},
		{name: "SESAME_PASSKEY_ORIGINS",
			help: "Origins, separated by commas, whose pages may use passkeys, and those of Android apps " +
				"(`android:apk-key-hash:…`). Default: those of the public URL, `SESAME_LINK_URL`, `SESAME_APP_URL` and " +
				"`SESAME_CORS_ORIGINS` whose host is the RP ID or a subdomain of it.",
			set: func(c *config, v string) (err error) { c.Passkeys.Origins, err = parsePasskeyOrigins(v); return err }},
	}},
	{"Tokens and sessions", []setting{
		{name: "SESAME_SIGNING_ALGORITHM", fallback: string(signing.ES256),
			help: "How access tokens are signed: `ES256` or `EdDSA`.",
			set: func(c *config, v string) error {
				c.SigningAlgorithm = signing.Algorithm(v)
				return oneOf(c.SigningAlgorithm, signing.Algorithms...)
			}},
		{name: "SESAME_AUDIENCE", help: "The claim `aud` of access tokens. Default: the public URL.",
			set: func(c *config, v string) error { c.Audience = v; return checkAudience(v) }},
		{name: "SESAME_ACCESS_TOKEN_TTL", fallback: "15m", help: "Lifetime of an access token.",
			set: setDuration(func(c *config) *time.Duration { return &c.AccessTokenTTL }, 10*time.Second, 24*time.Hour)},
		{name: "SESAME_REFRESH_TOKEN_TTL", fallback: "336h", help: "How long a session lasts without a refresh.",
			set: setDuration(func(c *config) *time.Duration { return &c.RefreshTokenTTL }, time.Minute, 10*365*24*time.Hour)},
		{name: "SESAME_SESSION_TTL", fallback: "720h", help: "How long a session lasts, even if it is refreshed.",
			set: setDuration(func(c *config) *time.Duration { return &c.SessionTTL }, time.Minute, 10*365*24*time.Hour)},
		{name: "SESAME_REFRESH_GRACE", fallback: "30s",
			help: "Grace period during which a just-used refresh token returns the same new tokens again " +
				"(for races and lost responses). `0s` disables it.",
			set: setDuration(func(c *config) *time.Duration { return &c.RefreshGrace }, 0, 10*time.Minute)},
		{name: "SESAME_RELOAD_KEYS", fallback: "10s",
			help: "How often a server looks for signing keys that another server, or `sesame keys`, has changed.",
			set:  setDuration(func(c *config) *time.Duration { return &c.KeyReloadInterval }, time.Second, 5*time.Minute)},
	}},
	{"Email", []setting{
		{name: "SESAME_SMTP_URL", secret: true,
			help: "`smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. " +
				"Default: emails become files in the folder `mail` of the data folder.",
			set: func(c *config, v string) error { c.SMTPURL = v; return checkSMTPURL(v) }},
		{name: "SESAME_SMTP_CA_FILE",
			help: "A PEM file with the certificate authorities that are trusted for the SMTP server, such as your own. " +
				"Default: those of the system.",
			set: func(c *config, v string) (err error) {
				if v != "" {
					c.SMTPRoots, err = mail.ReadRoots(v)
				}
				return err
			}},
		{name: "SESAME_MAIL_FROM", fallback: "Sesame <no-reply@localhost>",
			help: "The sender of emails. Required with an SMTP server.",
			set: func(c *config, v string) error {
				c.MailFrom = v
				if mail.CheckFrom(v) != nil {
					return errors.New("must be a sender, such as Sesame <no-reply@example.com>")
				}
				return nil
			}},
		{name: "SESAME_RESET_TOKEN_TTL", fallback: "30m", help: "Lifetime of a reset link.",
			set: setDuration(func(c *config) *time.Duration { return &c.ResetTokenTTL }, time.Minute, 24*time.Hour)},
	}},
	{"Pages and branding", []setting{
		{name: "SESAME_BRAND_NAME", fallback: brand.DefaultName, help: "The name of your service, on pages and in emails.",
			set: func(c *config, v string) error { c.Brand.Name = v; return brand.CheckName(v) }},
		{name: "SESAME_BRAND_COLOR", fallback: brand.DefaultColor,
			help: "The color of buttons and links, as `#rrggbb`. It must be dark enough for white text.",
			set:  func(c *config, v string) error { c.Brand.Color = v; return brand.CheckColor(v) }},
		{name: "SESAME_APP_URL",
			help: "Where users log in to your application. The reset page links to it. Default: no link.",
			set:  func(c *config, v string) error { c.AppURL = v; return nil }},
		{name: "SESAME_LINK_URL",
			help: "Where your own pages for emailed links are. The links are `<it>/reset-password#token=…`, " +
				"`/verify-email#token=…`, `/confirm-email-change#token=…` and `/undo-email-change#token=…`. " +
				"Default: the public URL.",
			set: func(c *config, v string) error { c.LinkURL = v; return nil }},
	}},
	{"Security and operation", []setting{
		{name: "SESAME_THROTTLE", fallback: "on", help: "`off` disables all rate limits on attempts and emails.",
			set: func(c *config, v string) error { c.ThrottleOff = v == "off"; return oneOf(v, "on", "off") }},
		{name: "SESAME_MIN_PASSWORD_LENGTH", fallback: "8",
			help: "How many characters a new password must have, from 8 to 64. " +
				"NIST SP 800-63B-4, section 3.1.1.2, requires 15 where the password is the only factor.",
			set: func(c *config, v string) error {
				length, err := strconv.Atoi(v)
				if err != nil || length < password.MinLength || length > password.MaxMinLength {
					return fmt.Errorf("must be a number from %d to %d", password.MinLength, password.MaxMinLength)
				}
				c.Passwords.MinLength = length
				return nil
			}},
		{name: "SESAME_AUDIT_RETENTION", fallback: "8760h", help: "How long the events are kept that `sesame audit` prints.",
			set: setDuration(func(c *config) *time.Duration { return &c.AuditRetention }, 24*time.Hour, 20*365*24*time.Hour)},
		{name: "SESAME_DRAIN_DELAY", fallback: "5s",
			help: "How long a server that gets SIGTERM is not ready and still accepts requests, until the load balancer " +
				"has noticed. Default on a terminal: `0s`.",
			set: setDuration(func(c *config) *time.Duration { return &c.DrainDelay }, 0, 5*time.Minute)},
		{name: "SESAME_PPROF", fallback: "off", help: "`on` adds `/debug/pprof/` to the admin listener.",
			set: func(c *config, v string) error { c.Profiling = v == "on"; return oneOf(v, "on", "off") }},
		{name: "SESAME_LOG_FORMAT", help: "`text` or `json`. Default: text on a terminal, otherwise JSON.",
			set: func(c *config, v string) error { c.logFormat = v; return oneOf(v, "", "text", "json") }},
		{name: "SESAME_LOG_LEVEL", fallback: "info", help: "`debug`, `info`, `warn` or `error`.",
			set: func(c *config, v string) error {
				if err := oneOf(v, "debug", "info", "warn", "error"); err != nil {
					return err
				}
				return c.logLevel.UnmarshalText([]byte(v))
			}},
	}},
}

// allSettings returns the settings of all groups.
func allSettings() (settings []setting) {
	for _, group := range settingGroups {
		settings = append(settings, group.settings...)
	}
	return settings
}

func setSecret(field func(*config) *secret.Secret) func(*config, string) error {
	return func(c *config, v string) error {
		if v == "" {
			return nil
		}
		parsed, err := secret.Parse(v)
		*field(c) = parsed
		return err
	}
}

func setDuration(field func(*config) *time.Duration, minimum, maximum time.Duration) func(*config, string) error {
	return func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errors.New("must be a duration, such as 15m or 720h")
		}
		if d < minimum || d > maximum {
			return fmt.Errorf("must be between %s and %s", minimum, maximum)
		}
		*field(c) = d
		return nil
	}
}

// configurationPage returns docs/configuration.md.
func configurationPage() string {
	var page strings.Builder
	page.WriteString(`# Configuration

Sesame is configured with environment variables. ` + "`sesame config`" + ` prints them with their values.
If any are invalid, the server lists all errors and exits. An unknown variable that starts with
` + "`SESAME_`" + ` is an error, too.

The value of a setting marked with * can also be in a file: set the variable with ` + "`_FILE`" + ` at the end
of its name to the path of the file. ` + "`sesame config`" + ` never prints these values. Durations are
written like ` + "`90s`, `15m` or `720h`" + `.

The variables of the Go runtime (` + "`GOMAXPROCS`, `GOGC`, `GOMEMLIMIT`" + `) work as usual. The server sets
the latter two if you set neither (see [monitoring.md](monitoring.md#metrics)).

<!-- Generated from cmd/sesame/settings.go: go test ./cmd/sesame -run TestConfigurationPage -update -->
`)
	for _, group := range settingGroups {
		fmt.Fprintf(&page, "\n## %s\n\n| variable | default | meaning |\n|---|---|---|\n", group.title)
		for _, s := range group.settings {
			name, fallback := "`"+s.name+"`", ""
			if s.secret {
				name += "*"
			}
			if s.fallback != "" {
				fallback = "`" + s.fallback + "`"
			}
			fmt.Fprintf(&page, "| %s | %s | %s |\n", name, fallback, s.help)
		}
	}
	return page.String()
}
