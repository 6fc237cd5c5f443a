package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// What a setting's value must be. The errors are read by an operator, behind the setting's name.

func checkAddress(v string) error {
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

// checkPublicURL refuses what would put tokens and passwords on the wire in clear.
func checkPublicURL(v string) error {
	parsed, err := url.Parse(v)
	switch {
	case err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https"):
		return errors.New("must be a URL, such as https://auth.example.com")
	case parsed.RawQuery != "" || parsed.Fragment != "" || parsed.User != nil:
		return errors.New("must have no user, query or fragment")
	case parsed.Scheme == "http" && !server.IsLoopback(parsed.Hostname()):
		return errors.New("must be https, unless its host is this machine")
	}
	return nil
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

func duration(field func(*config) *time.Duration, least, most time.Duration) func(*config, string) error {
	return func(c *config, v string) error {
		d, err := time.ParseDuration(v)
		if err != nil {
			return errors.New("must be a duration, such as 15m or 720h")
		}
		if d < least || d > most {
			return fmt.Errorf("must be between %s and %s", least, most)
		}
		*field(c) = d
		return nil
	}
}
