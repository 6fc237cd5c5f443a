package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// The checks of settings and flags. An operator reads their errors after the name of the setting.

func checkAddr(v string) error {
	if _, _, err := net.SplitHostPort(v); err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:8080")
	}
	return nil
}

func checkDatabaseURL(v string) error {
	if v != "" && !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://") {
		return errors.New("must begin with postgres://; leave it empty for SQLite")
	}
	return nil
}

func checkSMTPURL(v string) error {
	if v == "" {
		return nil
	}
	return mail.CheckURL(v)
}

// checkPublicURL also refuses URLs with which tokens and passwords would be sent without TLS.
func checkPublicURL(v string) error {
	parsed, err := url.Parse(v)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		return errors.New("must be a URL, such as https://auth.example.com")
	case parsed.RawQuery != "" || parsed.Fragment != "" || parsed.User != nil:
		return errors.New("must have no user, query or fragment")
	case parsed.Scheme == "http" && !server.IsLoopback(parsed.Hostname()):
		return errors.New("must be https, except for a loopback address")
	}
	return nil
}

func isHTTPS(v string) bool {
	parsed, err := url.Parse(v)
	return err == nil && parsed.Scheme == "https"
}

func oneOf[T ~string](v T, allowed ...T) error {
	if slices.Contains(allowed, v) {
		return nil
	}
	words := make([]string, 0, len(allowed))
	for _, word := range allowed {
		if word != "" {
			words = append(words, string(word))
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
}
