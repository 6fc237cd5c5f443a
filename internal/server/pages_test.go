package server_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// get requests a URL. If host is empty, it is the host of the URL. With the Accept header
// text/html, the server responds as to a browser.
func get(t *testing.T, url, host, accept string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	request.Header.Set("Accept", accept)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func portOf(t *testing.T, serverURL string) string {
	t.Helper()
	parsed, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Port()
}

var (
	hrefs     = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	mailLinks = regexp.MustCompile(`href="mail/([^"]+)"`)
)

// crawl requests start, and every page and asset that is linked from it on the same host. It
// returns their paths.
func crawl(t *testing.T, server, host, start string) map[string]bool {
	t.Helper()
	seen, todo := map[string]bool{start: true}, []string{start}
	for len(todo) > 0 {
		path := todo[0]
		todo = todo[1:]
		response, body := get(t, server+path, host, "text/html")
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s of %s: %d\n%s", path, host, response.StatusCode, body)
		}
		if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
			continue
		}
		base, err := url.Parse("http://" + host + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range hrefs.FindAllStringSubmatch(body, -1) {
			link, err := base.Parse(match[1])
			if err != nil {
				t.Fatal(err)
			}
			if link.Host == host && !seen[link.EscapedPath()] {
				seen[link.EscapedPath()] = true
				todo = append(todo, link.EscapedPath())
			}
		}
	}
	return seen
}

// The pages work under every name of this machine, whatever the public URL is.
func TestPagesUnderEveryHostName(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for _, name := range []string{"localhost", "127.0.0.1"} {
		host := net.JoinHostPort(name, portOf(t, s.URL))
		seen := crawl(t, s.URL, host, "/")
		for _, path := range []string{"/docs", "/openapi.yaml", "/reset-password", "/problems", "/problems/not_found"} {
			if !seen[path] {
				t.Errorf("no page on %s links to %s: %v", host, path, seen)
			}
		}
		if icon, _ := get(t, s.URL+"/favicon.ico", host, "image/*"); icon.Header.Get("Content-Type") != "image/svg+xml" {
			t.Errorf("favicon: %d %v", icon.StatusCode, icon.Header)
		}
		body := strings.NewReader(`{"email":"ada@example.com"}`)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/auth/forgot-password", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Origin", "http://"+host)
		if response := s.Send(t, request); response.Status != http.StatusAccepted {
			t.Errorf("the page on %s cannot use the API: %d %s", host, response.Status, response.Raw)
		}
	}
}

// mailboxServer is a server with a development mailbox that contains one email.
func mailboxServer(t *testing.T, engine databasetest.Engine) (s *servertest.Server, id string) {
	t.Helper()
	s = servertest.Start(t, engine, servertest.Options{Mailbox: true})
	s.ForgotPassword(t, s.NewUser(t))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		if _, list := get(t, s.AdminURL+"/dev/mail", "", "text/html"); mailLinks.MatchString(list) {
			return s, mailLinks.FindStringSubmatch(list)[1]
		}
		if time.Now().After(deadline) {
			t.Fatal("the email is not in the mailbox")
		}
	}
}

// The admin listener serves the development mailbox to this machine. The API listener never does.
func TestMailboxIsOnTheAdminListener(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, id := mailboxServer(t, engine)
		port := portOf(t, s.AdminURL)
		paths := []string{"/dev/mail", "/dev/mail/" + id, "/dev/mail/" + id + "/html"}
		for _, name := range []string{"localhost", "127.0.0.1"} {
			seen := crawl(t, s.AdminURL, net.JoinHostPort(name, port), "/dev/mail")
			for _, path := range paths {
				if !seen[path] {
					t.Errorf("no page on %s links to %s: %v", name, path, seen)
				}
			}
		}
		for _, path := range paths {
			for _, host := range []string{"", "localhost:" + port, "127.0.0.1:" + port, "auth.example.test"} {
				if response, body := get(t, s.URL+path, host, "text/html"); response.StatusCode != http.StatusNotFound {
					t.Errorf("the API listener returns %s with the host %q: %d\n%s", path, host, response.StatusCode, body)
				}
			}
			response, body := get(t, s.AdminURL+path, "evil.example:"+port, "text/html")
			if response.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("the admin listener returns %s with a forged host: %d\n%s", path, response.StatusCode, body)
			}
		}
	})
}

// A proxy cannot reach the mailbox through the API, and a proxy in front of the admin listener is
// refused.
func TestMailboxBehindProxy(t *testing.T) {
	s, _ := mailboxServer(t, databasetest.SQLite)
	for _, backend := range []string{s.URL, s.AdminURL} {
		target, err := url.Parse(backend)
		if err != nil {
			t.Fatal(err)
		}
		for name, rewrite := range map[string]func(*httputil.ProxyRequest){
			"keeps the host": func(r *httputil.ProxyRequest) { r.Out.Host = "auth.example.test" },
			"sets the host of the admin": func(r *httputil.ProxyRequest) {
				r.Out.Host = strings.TrimPrefix(s.AdminURL, "http://")
				r.SetXForwarded()
			},
			"sets the host, and only Via": func(r *httputil.ProxyRequest) {
				r.Out.Host = target.Host
				r.Out.Header.Set("Via", "1.1 proxy")
			},
		} {
			proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				rewrite(r)
			}})
			response, body := get(t, proxy.URL+"/dev/mail", "", "text/html")
			if response.StatusCode != http.StatusNotFound && response.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("a proxy that %s, in front of %s: %d\n%s", name, backend, response.StatusCode, body)
			}
			proxy.Close()
		}
	}
}

// With an SMTP server there is no mailbox.
func TestNoMailboxWithSMTP(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for _, base := range []string{s.URL, s.AdminURL} {
		if response, body := get(t, base+"/dev/mail", "", "text/html"); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d\n%s", base, response.StatusCode, body)
		}
	}
}
