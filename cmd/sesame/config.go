package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/server"
	"github.com/sesame-auth/sesame/internal/tracing/otlp"
)

// This file is the only one that reads the environment.

// load reads the settings from the environment, a list of NAME=value. Its error is a usageError
// that lists all errors.
func load(environment []string) (*config, error) {
	given, errs := values(environment)
	var c config
	for _, s := range allSettings() {
		value, ok := given[s.name]
		if !ok {
			value = s.fallback
		}
		if err := s.set(&c, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
		}
	}
	errs = append(errs, c.checkTogether(given)...)
	var invalid []error
	c.Traces, invalid = otlp.ParseConfig(func(name string) string { return variable(environment, name) })
	errs = append(errs, invalid...)
	if len(errs) > 0 {
		return nil, usageError{fmt.Errorf("the configuration is invalid (errors: %d):\n%w", len(errs), errors.Join(errs...))}
	}
	return &c, nil
}

// values returns the settings in the environment by name, including those in files, and what is
// wrong with them. An empty variable counts as not set.
func values(environment []string) (map[string]string, []error) {
	given, errs := make(map[string]string), []error(nil)
	settings := allSettings()
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
			errs = append(errs, fmt.Errorf("%s: there is no such setting; run `sesame config` to list them", name))
			continue
		}
		content, err := os.ReadFile(value) //nolint:gosec // the operator names the file
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		isSet := func(other string) bool { return strings.HasPrefix(other, named+"=") && other != named+"=" }
		if slices.ContainsFunc(environment, isSet) {
			errs = append(errs, fmt.Errorf("%s: %s is set too; set only one of them", name, named))
			continue
		}
		given[named] = strings.TrimSpace(string(content))
	}
	return given, errs
}

// variable returns a variable of the environment, or "". The last one counts.
func variable(environment []string, name string) (value string) {
	for _, variable := range environment {
		if other, text, _ := strings.Cut(variable, "="); other == name {
			value = text
		}
	}
	return value
}

// checkTogether fills in the defaults that depend on other settings, and returns what is wrong with
// the combination of settings.
func (c *config) checkTogether(given map[string]string) []error {
	errs := c.checkNetwork(given)
	c.drainSet = given["SESAME_DRAIN_DELAY"] != ""
	invalid := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.LinkURL == "" {
		c.LinkURL = c.PublicURL
	} else if err := checkPublicURL(c.LinkURL); err != nil {
		invalid("SESAME_LINK_URL: %w", err)
	}
	if c.Registration == auth.RegistrationPrivate && c.EmailVerification != auth.VerificationRequired {
		invalid("SESAME_REGISTRATION: private needs SESAME_EMAIL_VERIFICATION=required, " +
			"because a login with the new password would otherwise reveal whether the email had an account")
	}
	if c.AppURL != "" {
		if err := checkPublicURL(c.AppURL); err != nil {
			invalid("SESAME_APP_URL: %w", err)
		}
	}
	errs = append(errs, c.checkPasskeys()...)
	if c.Audience == "" {
		c.Audience = c.PublicURL
	}
	if c.DatabaseURL != "" && given["SESAME_SECRET"] == "" {
		invalid("SESAME_SECRET: must be set with PostgreSQL, to the same value on every instance; " +
			"make one with: openssl rand -base64 32")
	}
	if c.SMTPURL != "" && given["SESAME_MAIL_FROM"] == "" {
		invalid("SESAME_MAIL_FROM: must be set with SESAME_SMTP_URL")
	}
	if c.SMTPRoots != nil && c.SMTPURL == "" {
		invalid("SESAME_SMTP_CA_FILE: has no effect without SESAME_SMTP_URL")
	}
	if c.RefreshTokenTTL != 0 && c.RefreshTokenTTL < c.AccessTokenTTL {
		invalid("SESAME_REFRESH_TOKEN_TTL: must not be shorter than SESAME_ACCESS_TOKEN_TTL")
	}
	if c.SessionTTL != 0 && c.SessionTTL < c.RefreshTokenTTL {
		invalid("SESAME_SESSION_TTL: must not be shorter than SESAME_REFRESH_TOKEN_TTL")
	}
	return errs
}

// checkNetwork fills in the public URL, and returns what is wrong with where the server listens and
// how clients reach it.
func (c *config) checkNetwork(given map[string]string) (errs []error) {
	invalid := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	_, isUnix := server.SocketPath(c.Addr)
	scheme, hasTLS := "http://", c.TLSCert != ""
	if hasTLS {
		scheme = "https://"
	}
	errs = append(errs, checkCertificate(c.TLSCert, c.TLSKey)...)
	if c.PublicURL == "" {
		if host, _, err := net.SplitHostPort(c.Addr); isUnix || err == nil && !server.IsLoopback(host) {
			invalid("SESAME_PUBLIC_URL: must be set when SESAME_ADDR is not a loopback address")
		}
		c.PublicURL = scheme + c.Addr
	} else if err := checkPublicURL(c.PublicURL); err != nil {
		invalid("SESAME_PUBLIC_URL: %w", err)
	} else if hasTLS && !isHTTPS(c.PublicURL) {
		invalid("SESAME_PUBLIC_URL: must be https with SESAME_TLS_CERT")
	}
	isNamed := strings.Trim(given["SESAME_TRUSTED_PROXIES"], ", ") != ""
	if !isNamed && !isUnix && !hasTLS && isHTTPS(c.PublicURL) {
		invalid("SESAME_TRUSTED_PROXIES: must be set when SESAME_PUBLIC_URL is https and SESAME_TLS_CERT is not set, " +
			"because a proxy then handles TLS. Set it to the IP addresses of your proxies; otherwise all clients share " +
			"the rate limits of the proxy. If there is no proxy between clients and the server, set it to none")
	}
	if c.Addr == c.AdminAddr {
		invalid("SESAME_ADMIN_ADDR: must differ from SESAME_ADDR")
	}
	return errs
}

// warning is about a setting that is allowed but may not be intended.
type warning struct{ found, remedy string }

// warnings returns a warning for each setting that is allowed but may not be intended.
func (c *config) warnings() (found []warning) {
	if c.Profiling && !server.IsLocal(c.AdminAddr) {
		found = append(found, warning{
			"SESAME_PPROF is on and SESAME_ADMIN_ADDR is not a loopback address: " +
				"anybody who reaches it can slow the server down",
			"Set SESAME_PPROF to off, or SESAME_ADMIN_ADDR to a loopback address.",
		})
	}
	if c.ThrottleOff {
		found = append(found, warning{
			"SESAME_THROTTLE is off: anybody can guess passwords and send emails without limit",
			"Set SESAME_THROTTLE to on, unless this is a test.",
		})
	}
	if server.IsLocalURL(c.LinkURL) && !server.IsLocalURL(c.PublicURL) {
		found = append(found, warning{
			"SESAME_LINK_URL is on this machine: users cannot open the links in emails",
			"Set SESAME_LINK_URL to the public URL of the pages for emailed links.",
		})
	}
	return found
}
