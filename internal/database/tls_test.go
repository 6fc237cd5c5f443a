package database_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
)

// awaitCertificate waits until the server uses a certificate.
func awaitCertificate(t *testing.T, address, certificate string) {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
		if _, readErr := conn.Read(make([]byte, 1)); err != nil || readErr != nil {
			t.Fatal(err, readErr)
		}
		client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		err = client.HandshakeContext(t.Context())
		used := err == nil && bytes.Equal(client.ConnectionState().PeerCertificates[0].Raw, block.Bytes)
		_ = conn.Close()
		if used {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not use the certificate: %v", err)
		}
	}
}

// A server without a valid certificate is refused, as sslmode says.
func TestDatabaseCertificates(t *testing.T) {
	right, wrong := certtest.NewAuthority(t), certtest.NewAuthority(t)
	rootFile := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(rootFile, right.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	const host = "localhost"
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	certificate, key := right.IssuePEM(t, host, later)
	postgres, err := cluster.StartTLS(t.Context(), certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	server, err := url.Parse(postgres.URL)
	if err != nil {
		t.Fatal(err)
	}
	address := server.Host
	server.Host = net.JoinHostPort(host, server.Port())
	connect := func(parameters string) (encrypted bool, err error) {
		t.Helper()
		server.RawQuery = parameters
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		db, err := database.Open(ctx, server.String())
		if err != nil {
			return false, err
		}
		defer func() { _ = db.Close() }()
		query := "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
		return encrypted, db.WithContext(ctx).Raw(query).Scan(&encrypted).Error
	}

	modes := []string{"require", "require right", "verify-ca right", "verify-full right"} // sslmode and authority
	for name, test := range map[string]struct {
		authority *certtest.Authority
		host      string
		until     time.Time
		accepted  []string // modes
	}{
		"valid":            {right, host, later, modes},
		"for another host": {right, "other.example", later, modes[:3]},
		"expired":          {right, host, earlier, modes[:1]},
		"of another CA":    {wrong, host, later, modes[:1]},
	} {
		certificate, key := test.authority.IssuePEM(t, test.host, test.until)
		if err := postgres.SetCertificate(certificate, key); err != nil {
			t.Fatal(err)
		}
		awaitCertificate(t, address, certificate)
		for _, mode := range append([]string{"verify-full"}, modes...) { // without an authority: those of the system
			sslmode, trusts, _ := strings.Cut(mode, " ")
			parameters := "sslmode=" + sslmode
			if trusts != "" {
				parameters += "&sslrootcert=" + url.QueryEscape(rootFile)
			}
			encrypted, err := connect(parameters)
			accepted := slices.Contains(test.accepted, mode)
			if accepted && (err != nil || !encrypted) {
				t.Errorf("a certificate that is %s, with %s: encrypted %v, %v", name, mode, encrypted, err)
			}
			if !accepted && (!errors.Is(err, database.ErrUnavailable) || !strings.Contains(err.Error(), "certificate")) {
				t.Errorf("a certificate that is %s, with %s: %v", name, mode, err)
			}
		}
	}
}

// A server that does not support TLS is refused.
func TestServerWithoutTLS(t *testing.T) {
	t.Parallel()
	server := databasetest.URL(t, databasetest.Postgres)
	for _, mode := range []string{"require", "verify-ca", "verify-full"} {
		_, err := database.Open(t.Context(), strings.ReplaceAll(server, "sslmode=disable", "sslmode="+mode))
		if err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
