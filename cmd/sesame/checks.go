package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server"
)

// The checks of settings and flags. An operator reads their errors after the name of the setting.

// maxSocketPath is how many bytes the path of a Unix socket may have on every system.
const maxSocketPath = 103

func checkAddr(v string) error {
	if path, isUnix := server.SocketPath(v); isUnix {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath {
			return fmt.Errorf("the path of a socket must begin with a slash, and have at most %d bytes", maxSocketPath)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(v)
	if _, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || strings.ContainsAny(host, " /") {
		return errors.New("must be host:port, such as 127.0.0.1:8080, or unix:/path/of/a/socket")
	}
	return nil
}

// checkCertificate checks the files of a certificate and its key.
func checkCertificate(cert, key string) (errs []error) {
	switch {
	case cert == "" && key == "":
		return nil
	case cert == "":
		return []error{errors.New("SESAME_TLS_CERT: must be set with SESAME_TLS_KEY")}
	case key == "":
		return []error{errors.New("SESAME_TLS_KEY: must be set with SESAME_TLS_CERT")}
	}
	for _, file := range [][2]string{{"SESAME_TLS_CERT", cert}, {"SESAME_TLS_KEY", key}} {
		if _, err := os.ReadFile(file[1]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file[0], err))
		}
	}
	if len(errs) > 0 {
		return errs
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		errs = append(errs, fmt.Errorf("SESAME_TLS_CERT: cannot be used with SESAME_TLS_KEY: %w", err))
	}
	return errs
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
	case !isPostgres(v):
		return errors.New("must begin with postgres://; leave it empty for SQLite")
	}
	return database.CheckURL(v)
}

// isPostgres reports whether a text is meant to be the URL of a PostgreSQL database.
func isPostgres(v string) bool {
	return strings.HasPrefix(v, "postgres://") || strings.HasPrefix(v, "postgresql://")
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
