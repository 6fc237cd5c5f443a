package server

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
)

// The same state of the files is loaded, and reported, once.
func TestCertificateIsLoadedOnce(t *testing.T) {
	folder := t.TempDir()
	var log bytes.Buffer
	now := time.Now()
	config := Config{
		TLSCert: filepath.Join(folder, "cert.pem"), TLSKey: filepath.Join(folder, "key.pem"),
		Log: slog.New(slog.NewJSONHandler(&log, nil)), Now: func() time.Time { return now },
	}
	if _, err := openCertificate(config); err == nil {
		t.Error("there is no file, and no error")
	}
	cert, key := certtest.NewAuthority(t).IssuePEM(t, "localhost", now.Add(time.Hour))
	write := func(cert, key string) {
		t.Helper()
		err := errors.Join(
			os.WriteFile(config.TLSCert, []byte(cert), 0o600), os.WriteFile(config.TLSKey, []byte(key), 0o600))
		if err != nil {
			t.Fatal(err)
		}
	}
	write(cert, key)
	c, err := openCertificate(config)
	if err != nil {
		t.Fatal(err)
	}
	first := c.current.Load()
	for range 3 {
		if err := c.load(); err != nil || c.current.Load() != first {
			t.Errorf("loaded again: %v", err)
		}
	}
	write(cert, "")
	for i, want := range []string{"key.pem: tls: ", "", ""} {
		err := c.load()
		if i == 0 && (err == nil || !strings.Contains(err.Error(), want)) || i > 0 && err != nil {
			t.Errorf("attempt %d: %v", i+1, err)
		}
	}
	now = now.Add(2 * time.Hour)
	write(cert, key)
	if err := c.load(); err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"expires":"`) ||
		!strings.Contains(lines[2], "the TLS certificate has expired") {
		t.Errorf("the log:\n%s", &log)
	}
}
