package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// tlsFiles are a certificate for 127.0.0.1 and its key, in files.
type tlsFiles struct {
	authority    *certtest.Authority
	folder       string
	cert, key    string // paths
	certPEM, pem string // what was issued last
}

func newTLSFiles(t *testing.T) *tlsFiles {
	t.Helper()
	folder := t.TempDir()
	f := &tlsFiles{
		authority: certtest.NewAuthority(t), folder: folder,
		cert: filepath.Join(folder, "tls.crt"), key: filepath.Join(folder, "tls.key"),
	}
	f.issue(t, time.Now().Add(time.Hour))
	f.write(t, f.cert, f.certPEM)
	f.write(t, f.key, f.pem)
	return f
}

// issue issues another certificate, and returns it. It does not write the files.
func (f *tlsFiles) issue(t *testing.T, notAfter time.Time) (certificate []byte) {
	t.Helper()
	f.certPEM, f.pem = f.authority.IssuePEM(t, "127.0.0.1", notAfter)
	block, _ := pem.Decode([]byte(f.certPEM))
	return block.Bytes
}

func (f *tlsFiles) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Error(err)
	}
}

// transport returns a transport that trusts the authority.
func (f *tlsFiles) transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.authority.Pool}, ForceAttemptHTTP2: true}
}

func (f *tlsFiles) start(t *testing.T) *servertest.Server {
	t.Helper()
	return servertest.Start(t, databasetest.SQLite,
		servertest.Options{TLSCert: f.cert, TLSKey: f.key, Base: f.transport()})
}

// presented returns the certificate that a server presents to a new connection.
func (f *tlsFiles) presented(t *testing.T, s *servertest.Server) *x509.Certificate {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: f.authority.Pool}}
	connection, err := dialer.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	secure, ok := connection.(*tls.Conn)
	if !ok {
		t.Fatalf("%T", connection)
	}
	return secure.ConnectionState().PeerCertificates[0]
}

// awaitCertificate waits until a server presents a certificate.
func (f *tlsFiles) awaitCertificate(t *testing.T, s *servertest.Server, certificate []byte) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !bytes.Equal(f.presented(t, s).Raw, certificate); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("the server does not use the new certificate")
		}
	}
}

const expiryMetric = "sesame_tls_certificate_expiry_timestamp_seconds"

// The API works with TLS 1.2 and 1.3 and with HTTP/2. Older versions and plain HTTP are refused.
func TestTLS(t *testing.T) {
	files := newTLSFiles(t)
	s := files.start(t)
	tokens := s.Login(t, s.NewUser(t))
	if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusOK ||
		response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", response.Status, response.Header)
	}
	for name, test := range map[string]struct {
		config *tls.Config
		proto  string
	}{
		"TLS 1.0":             {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, ""},
		"TLS 1.1":             {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ""},
		"TLS 1.2":             {&tls.Config{MaxVersion: tls.VersionTLS12}, "HTTP/1.1"},
		"TLS 1.2 with HTTP/2": {&tls.Config{MaxVersion: tls.VersionTLS12}, "HTTP/2.0"},
		"TLS 1.3 with HTTP/2": {&tls.Config{MinVersion: tls.VersionTLS13}, "HTTP/2.0"},
	} {
		transport := files.transport()
		test.config.RootCAs = files.authority.Pool
		transport.TLSClientConfig, transport.ForceAttemptHTTP2 = test.config, test.proto != "HTTP/1.1"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/.well-known/jwks.json", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		switch {
		case test.proto == "" && (err == nil || !strings.Contains(err.Error(), "protocol version")):
			t.Errorf("%s: %v", name, err)
		case test.proto != "" && (err != nil || response.StatusCode != http.StatusOK || response.Proto != test.proto):
			t.Errorf("%s: %v, %v", name, response, err)
		}
		if err == nil {
			_ = response.Body.Close()
		}
		transport.CloseIdleConnections()
	}
	plain := exchange(t, s.Addr(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if !strings.HasPrefix(plain, "HTTP/1.0 400 ") || strings.Contains(plain, "sesame") {
		t.Errorf("plain HTTP: %q", plain)
	}
	if expiry, found := s.Metric(t, expiryMetric); !found || int64(expiry) != files.presented(t, s).NotAfter.Unix() {
		t.Errorf("%s is %v", expiryMetric, expiry)
	}
	log := s.Log.String()
	if strings.Contains(log, `"level":"WARN"`) || !strings.Contains(log, "using a TLS certificate") {
		t.Errorf("the log:\n%s", log)
	}
}

// Without TLS there is no metric of a certificate, which would look like one that has expired.
func TestNoCertificate(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	if _, found := s.Metric(t, expiryMetric); found {
		t.Errorf("%s exists", expiryMetric)
	}
}

// A renewed certificate is used without a restart, however the files are replaced, and no request
// fails meanwhile.
func TestRenewalUnderTraffic(t *testing.T) {
	files := newTLSFiles(t)
	s := files.start(t)
	traffic, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	var requests atomic.Int64
	for i := range 4 {
		transport := files.transport()
		transport.DisableKeepAlives = i%2 == 0 // a handshake for each request
		client := &http.Client{Transport: transport}
		clients.Go(func() {
			for traffic.Err() == nil {
				response, err := client.Get(s.URL + "/.well-known/jwks.json")
				if err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, response.Body)
				if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != http.StatusOK {
					t.Errorf("%s, %v", response.Status, err)
				}
				requests.Add(1)
			}
			transport.CloseIdleConnections()
		})
	}
	rename := func(path, content string) {
		t.Helper()
		files.write(t, path+".new", content)
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	}
	version := 0
	for name, replace := range map[string]func(){
		"written in place": func() { files.write(t, files.key, files.pem); files.write(t, files.cert, files.certPEM) },
		"renamed":          func() { rename(files.cert, files.certPEM); rename(files.key, files.pem) },
		"a link to another folder": func() { // as Kubernetes does
			version++
			data := filepath.Join(files.folder, "data"+strconv.Itoa(version))
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Error(err)
			}
			files.write(t, filepath.Join(data, "tls.crt"), files.certPEM)
			files.write(t, filepath.Join(data, "tls.key"), files.pem)
			link := filepath.Join(files.folder, "..data")
			if err := errors.Join(os.Symlink(data, link+"_tmp"), os.Rename(link+"_tmp", link)); err != nil {
				t.Error(err)
			}
			for _, path := range []string{files.cert, files.key} {
				_ = os.Remove(path)
				if err := os.Symlink(filepath.Join("..data", filepath.Base(path)), path); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		notAfter := time.Now().Add(2 * time.Hour)
		certificate := files.issue(t, notAfter)
		before := requests.Load()
		replace()
		files.awaitCertificate(t, s, certificate)
		if expiry, _ := s.Metric(t, expiryMetric); int64(expiry) != notAfter.Unix() {
			t.Errorf("%s: %s is %v", name, expiryMetric, expiry)
		}
		if requests.Load() == before {
			t.Errorf("%s: no request meanwhile", name)
		}
	}
	stop()
	clients.Wait()
	if log := s.Log.String(); strings.Count(log, `"msg":"using a TLS certificate"`) != 4 {
		t.Errorf("the log:\n%s", log)
	}
}

// A new pair that cannot be used is logged, and the old one stays in use until there is a good one.
func TestBrokenRenewal(t *testing.T) {
	files := newTLSFiles(t)
	s := files.start(t)
	old := files.presented(t, s)
	const kept = `"level":"ERROR","msg":"the TLS certificate cannot be loaded; keeping the current one"`
	certificate := files.issue(t, time.Now().Add(time.Hour))
	for errors, breakFiles := range []func(){
		func() { files.write(t, files.cert, files.certPEM[:len(files.certPEM)/2]) }, // half of it
		func() { files.write(t, files.cert, files.certPEM) },                        // with the old key
		func() { files.write(t, files.key, "") },
		func() { _ = os.Remove(files.key) },
	} {
		breakFiles()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(20 * time.Second); strings.Count(s.Log.String(), kept) == errors; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("error %d is not logged:\n%s", errors, s.Log)
			}
		}
		if count := strings.Count(s.Log.String(), kept); count != errors+1 {
			t.Errorf("%d lines for %d errors", count, errors+1)
		}
		if !files.presented(t, s).Equal(old) {
			t.Error("the old certificate is not used")
		}
		if expiry, _ := s.Metric(t, expiryMetric); int64(expiry) != old.NotAfter.Unix() {
			t.Errorf("%s is %v", expiryMetric, expiry)
		}
	}
	files.write(t, files.key, files.pem)
	files.awaitCertificate(t, s, certificate)
}
