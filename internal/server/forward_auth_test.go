package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// service is a service behind a proxy. It records the headers of the last request.
type service struct {
	*httptest.Server

	mu       sync.Mutex
	requests int
	headers  http.Header
}

func startService(t *testing.T) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise nginx may not get the response
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests++
		s.headers = r.Header.Clone()
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(s.Close)
	return s
}

// last returns the number of requests and the headers of the last one.
func (s *service) last() (requests int, headers http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.headers
}

// documentedForwardAuth returns the configuration of nginx in docs/verify.md for these servers.
func documentedForwardAuth(t *testing.T, sesame, service string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	_, config, found := strings.Cut(string(page), "<!-- nginx: a test runs this configuration -->\n```nginx\n")
	config, _, _ = strings.Cut(config, "\n```\n")
	if !found || !strings.Contains(config, "http://127.0.0.1:3000") || !strings.Contains(config, "http://127.0.0.1:8080") {
		t.Fatalf("docs/verify.md has no configuration: %s", config)
	}
	return strings.NewReplacer("http://127.0.0.1:3000", service, "http://127.0.0.1:8080", sesame).Replace(config)
}

// identity are the headers that name the user.
var identity = []string{"X-User-Id", "X-User-Email", "X-User-Email-Verified", "X-Session-Id"}

// Behind the documented nginx, a service gets requests only with a valid access token, and the
// identity only from Sesame, whatever the client sends.
func TestNginxAuthRequest(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		behind := startService(t)
		proxy := "http://" + startNginx(t, documentedForwardAuth(t, s.URL, behind.URL))
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		user, err := s.Auth.FindUser(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"X-User-Id": user.ID.String(), "X-User-Email": email, "X-User-Email-Verified": "false",
			"X-Session-Id": s.Authenticate(t, tokens.Access).Text("sessionId"),
		}
		do := func(method, body, authorization string, headers ...string) servertest.Response {
			t.Helper()
			if authorization != "" {
				headers = append(headers, "Authorization", authorization)
			}
			return servertest.Do(t, http.DefaultClient, method, proxy+"/orders?x=y", body, headers...)
		}
		forged := []string{
			"X-User-Id", "eve", "x-user-email", "eve@example.com", "X-USER-EMAIL-VERIFIED", "true", "X-Session-Id", "eve",
			"X-User-Id", "another eve", "X_User_Id", "eve", "X_User_Email", "eve", "X-Session_Id", "eve", "X_User-Id", "eve",
		}
		expectUser := func(response servertest.Response, requests int) {
			t.Helper()
			got, headers := behind.last()
			if response.Status != http.StatusTeapot || got != requests {
				t.Fatalf("%d %s; the service got %d requests, want %d", response.Status, response.Raw, got, requests)
			}
			for name, value := range want {
				if values := headers.Values(name); !slices.Equal(values, []string{value}) {
					t.Errorf("the service got %s: %q, want %q", name, values, value)
				}
			}
			for name, values := range headers {
				if strings.Contains(strings.Join(values, " "), "eve") {
					t.Errorf("the service got %s: %q", name, values)
				}
			}
		}
		bearer := "Bearer " + tokens.Access
		expectUser(do(http.MethodGet, "", bearer), 1)
		expectUser(do(http.MethodGet, "", bearer, forged...), 2)
		expectUser(do(http.MethodPost, strings.Repeat("a", 200<<10), bearer, "Content-Type", "text/plain"), 3)
		expectUser(do(http.MethodHead, "", bearer), 4)
		expectUser(do(http.MethodDelete, "", bearer), 5)
		for name, authorization := range map[string]string{
			"no token": "", "another scheme": "Basic eDp5", "a changed token": bearer + "A",
			"the refresh token": "Bearer " + tokens.Refresh,
		} {
			response := do(http.MethodGet, "", authorization, append(forged,
				"X-Forwarded-Uri", "/public", "X-Forwarded-Method", "OPTIONS", "X-Original-URI", "/public")...)
			if response.Status != http.StatusUnauthorized ||
				!strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %d %v", name, response.Status, response.Header)
			}
		}
		if response := servertest.Do(t, http.DefaultClient, http.MethodGet, proxy+"/auth-check", "",
			"Authorization", bearer); response.Status != http.StatusNotFound {
			t.Errorf("the location of the check can be requested: %d", response.Status)
		}
		s.Logout(t, tokens.Refresh)
		if response := do(http.MethodGet, "", bearer); response.Status != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", response.Status)
		}
		if requests, _ := behind.last(); requests != 5 {
			t.Errorf("the service got %d requests, want 5", requests)
		}
	})
}

// Caddy (forward_auth) and Traefik (ForwardAuth) ask with GET and without a body, and describe the
// original request in headers, which clients can forge. Only Authorization counts.
func TestForwardAuth(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		forwarded := []string{
			"X-Forwarded-Method", "POST", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com",
			"X-Forwarded-Uri", "/orders?token=x", "X-Forwarded-For", "203.0.113.7", "X-Forwarded-Server", "proxy",
			"X-Forwarded-Port", "443", "Content-Type", "text/plain", "Cookie", "session=x", "Accept", "text/html",
			"X-User-Id", "eve", "X-User-Email", "eve@example.com",
		}
		for name, headers := range map[string][]string{
			"traefik": {"Authorization", "Bearer " + tokens.Access},
			"caddy":   append(slices.Clone(forwarded), "Authorization", "Bearer "+tokens.Access),
			"another path": {
				"Authorization", "Bearer " + tokens.Access, "X-Forwarded-Uri", "/auth/logout", "X-Forwarded-Method", "DELETE",
			},
		} {
			response := s.Do(t, http.MethodGet, "/auth/check", "", headers...)
			if response.Status != http.StatusOK || response.Header.Get("X-User-Email") != email ||
				response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", name, response.Status, response.Header)
			}
		}
		refused := s.Do(t, http.MethodGet, "/auth/check", "", forwarded...)
		for _, name := range identity {
			if refused.Status != http.StatusUnauthorized || refused.Header.Get(name) != "" {
				t.Errorf("without a token: %d %v", refused.Status, refused.Header)
			}
		}
	})
}
