package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// The checks of settings and flags. An operator reads their errors after the name of the setting.

func checkAddr(v string) error {
	host, port, err := net.SplitHostPort(v)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || strings.ContainsAny(host, " /") {
		return errors.New("must be host:port, such as 127.0.0.1:8080")
	}
	return nil
}

// checkDataDir accepts a folder that does not exist yet.
func checkDataDir(v string) error {
	if info, err := os.Stat(v); err == nil && !info.IsDir() {
		return errors.New("must be a folder")
	}
	return nil
}

func checkDatabaseURL(v string) error {
	switch {
	case v == "":
		return nil
	case !strings.HasPrefix(v, "postgres://") && !strings.HasPrefix(v, "postgresql://"):
		return errors.New("must begin with postgres://; leave it empty for SQLite")
	}
	return database.CheckURL(v)
}

// checkAudience accepts what RFC 7519, section 2, calls StringOrURI, without spaces.
func checkAudience(v string) error {
	parsed, err := url.Parse(v)
	if err != nil || strings.ContainsFunc(v, unicode.IsSpace) || strings.Contains(v, ":") && parsed.Scheme == "" {
		return errors.New("must be a URL, such as https://api.example.com, or a word")
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

// isLocalURL reports whether the host of a URL is this machine.
func isLocalURL(v string) bool {
	parsed, err := url.Parse(v)
	return err == nil && server.IsLoopback(parsed.Hostname())
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
