package doctor_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/certtest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/doctor"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

const day = 24 * time.Hour

func TestMailServers(t *testing.T) {
	d := started(t, databasetest.SQLite)
	authority := certtest.NewAuthority(t)
	start := func(host string, left time.Duration) *mailtest.Server {
		t.Helper()
		s := &mailtest.Server{Certificate: authority.Issue(t, host, time.Now().Add(left)), Mechanisms: []string{"PLAIN"}}
		return s.Start(t)
	}
	d.SMTPRoots = authority.Pool
	check := func(url string, status doctor.Status, detail, remedy string) {
		t.Helper()
		d.SMTPURL = url
		require(t, d, "mail-server", status, detail, remedy)
	}
	good := start("127.0.0.1", 30*day+time.Hour)
	check(good.URL(), doctor.OK, "with TLS; the certificate expires in 30 days", "")
	check(strings.Replace(good.URL(), "mailer", "nobody", 1), doctor.Error,
		"AUTH: the server replied", "user and password")
	check("smtp://"+porttest.Address(t)+"?tls=off", doctor.Error, "connection refused", "firewall")
	check(start("127.0.0.1", 3*day).URL(), doctor.Warning, "expires in 2 days", "Renew")
	check(start("mail.example.com", 30*day).URL(), doctor.Error, "certificate", "host name")
	d.SMTPRoots = certtest.NewAuthority(t).Pool
	check(good.URL(), doctor.Error, "certificate", "SESAME_SMTP_CA_FILE")
	plain := &mailtest.Server{}
	check(plain.Start(t).URL(), doctor.OK, "without TLS", "")

	check("", doctor.OK, "emails become files in "+d.MailDir(), "")
	d.PublicURL = "https://auth.example.com"
	check("", doctor.Warning, "emails become files in "+d.MailDir(), "SESAME_SMTP_URL")
}

// proxy starts a proxy with TLS in front of a server, and returns its URL. change changes the requests.
func proxy(
	t *testing.T, d *doctor.Deployment, certificate *tls.Certificate, change func(*httputil.ProxyRequest),
) string {
	t.Helper()
	target, err := url.Parse("http://" + d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target); change(r) },
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := httptest.NewUnstartedServer(forward)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func TestPublicURLs(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d, authority := newDeployment(t, engine), certtest.NewAuthority(t)
		d.Roots = authority.Pool
		none := func(*httputil.ProxyRequest) {}
		soon := proxy(t, d, authority.Issue(t, "127.0.0.1", time.Now().Add(3*day)), none)
		d.PublicURL = soon
		d.LinkURL = soon
		require(t, d, "public-url", doctor.Warning, "returns 502", "Start the server")
		serve(t, d)
		require(t, d, "public-url", doctor.Warning, "the certificate expires in 2 days", "Renew")

		d.Roots = certtest.NewAuthority(t).Pool
		require(t, d, "public-url", doctor.Error, "clients refuse the certificate", "whole chain")
		d.Roots = authority.Pool
		d.PublicURL = proxy(t, d, authority.Issue(t, "127.0.0.1", time.Now().Add(-day)), none)
		require(t, d, "public-url", doctor.Error, "clients refuse the certificate", "Renew")

		d.PublicURL = proxy(t, d, authority.Issue(t, "127.0.0.1", time.Now().Add(90*day)), none)
		require(t, d, "public-url", doctor.Error, "its issuer is \""+soon, "SESAME_PUBLIC_URL")
		d.PublicURL = "http://" + porttest.Address(t)
		require(t, d, "public-url", doctor.Warning, "not reachable from here", "another machine")
		require(t, d, "client-ip", doctor.Skipped, "can be reached", "")

		// Another deployment claims the same issuer.
		other := newDeployment(t, engine)
		other.PublicURL, other.Roots = soon, d.Roots
		install(t, other)
		other.AdminAddr = d.AdminAddr
		require(t, other, "public-url", doctor.Error, "none of its 1 signing keys is in this database", "proxy")

		forgetful := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(forgetful.Close)
		d.PublicURL = forgetful.URL
		require(t, d, "public-url", doctor.Error, "returns 404, although a server is ready", "every path")
	})
}

func TestClientIPs(t *testing.T) {
	const client = "203.0.113.7"
	authority := certtest.NewAuthority(t)
	for _, test := range []struct {
		name, trusted  string
		change         func(*httputil.ProxyRequest)
		status         doctor.Status
		detail, remedy string
	}{
		{"trusted", "127.0.0.1", func(r *httputil.ProxyRequest) { r.Out.Header.Set("X-Forwarded-For", client) },
			doctor.OK, "the server sees 203.0.113.7 for this client, as the trusted proxy 127.0.0.1 reports", ""},
		{"trusted client", "127.0.0.1,203.0.113.7",
			func(r *httputil.ProxyRequest) { r.Out.Header.Set("Forwarded", "for="+client) },
			doctor.OK, "sees 203.0.113.7", ""},
		{"its own network", "127.0.0.1", func(r *httputil.ProxyRequest) { r.SetXForwarded() },
			doctor.OK, "sees 127.0.0.1 for this client, which is one of SESAME_TRUSTED_PROXIES", ""},
		{"no header", "127.0.0.1", func(*httputil.ProxyRequest) {},
			doctor.Warning, "neither X-Forwarded-For nor Forwarded", "X-Forwarded-For"},
		{"not trusted", "10.0.0.1", func(r *httputil.ProxyRequest) { r.SetXForwarded() },
			doctor.Warning, "not a trusted proxy", "SESAME_TRUSTED_PROXIES"},
		{"not trusted, no header", "10.0.0.1", func(*httputil.ProxyRequest) {},
			doctor.Warning, "all clients share its rate limits", "SESAME_TRUSTED_PROXIES"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDeployment(t, databasetest.SQLite)
			d.Roots = authority.Pool
			d.PublicURL = proxy(t, d, authority.Issue(t, "127.0.0.1", time.Now().Add(90*day)), test.change)
			d.LinkURL = d.PublicURL
			var err error
			if d.TrustedProxies, err = httpapi.ParseProxies(test.trusted); err != nil {
				t.Fatal(err)
			}
			serve(t, d)
			require(t, d, "client-ip", test.status, test.detail, test.remedy)
		})
	}
}

// If other servers get the requests to the public URL, this one has not seen them.
func TestClientIPOfAnotherServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := newDeployment(t, engine)
		serve(t, d)
		another := *d
		another.Addr, another.AdminAddr = porttest.Address(t), porttest.Address(t)
		serve(t, &another)
		require(t, &another, "client-ip", doctor.Skipped, "did not reach this server", "")
	})
}

func TestServers(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		d := newDeployment(t, engine)
		s := serve(t, d)
		d.Version = "v0.0.1"
		require(t, d, "server", doctor.Warning, "this is version v0.0.1", "Restart")

		if err := s.DB.Close(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); isReady(t, d); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the server is ready without its database")
			}
		}
		require(t, d, "server", doctor.Error, "/readyz returns 503", "log")

		other := httptest.NewServer(http.NotFoundHandler())
		t.Cleanup(other.Close)
		d.AdminAddr = strings.TrimPrefix(other.URL, "http://")
		require(t, d, "server", doctor.Error, "/livez returns 404", "SESAME_ADMIN_ADDR")
	})
}

func isReady(t *testing.T, d *doctor.Deployment) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.AdminAddr+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode == http.StatusOK
}

func TestCertificates(t *testing.T) {
	d, authority := started(t, databasetest.SQLite), certtest.NewAuthority(t)
	d.PublicURL = "https://auth.example.com"
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	issue := func(host string, left time.Duration) {
		t.Helper()
		certificate, key := authority.IssuePEM(t, host, time.Now().Add(left))
		d.TLSCert, d.TLSKey = write("tls.crt", certificate), write("tls.key", key)
	}
	issue("auth.example.com", 90*day+time.Hour)
	require(t, d, "certificate", doctor.OK, "is valid for auth.example.com; the certificate expires in 90 days", "")
	key := d.TLSKey
	issue("auth.example.com", 5*day)
	require(t, d, "certificate", doctor.Warning, "expires in 4 days", "Renew")
	d.TLSKey = key
	require(t, d, "certificate", doctor.Error, "private key does not match", "PEM")
	issue("auth.example.com", -day)
	require(t, d, "certificate", doctor.Error, "has expired", "Renew")
	issue("other.example.com", 90*day)
	require(t, d, "certificate", doctor.Error, "other.example.com", "host of the public URL")
	d.TLSCert = "nowhere.crt"
	require(t, d, "certificate", doctor.Error, "nowhere.crt", "PEM")
}
