package clienttest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// redirector starts a server that redirects every request. received are the requests.
func redirector(t *testing.T, to func(r *http.Request) string) (url string, received *[]*http.Request) {
	t.Helper()
	received = &[]*http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*received = append(*received, r)
		http.Redirect(w, r, to(r), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

func (s *session) get(t *testing.T, url string) int {
	t.Helper()
	status, _ := s.post(t, url, nil)
	return status
}

func (s *session) post(t *testing.T, url string, body io.Reader, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := (&http.Client{Transport: s}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// The access token is sent only to listed origins, also after redirects.
func TestTokenIsSentOnlyToOrigins(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		unlisted, received := s.service(t)
		status := s.get(t, unlisted)
		if token := received()[0].Header.Get("Authorization"); status != http.StatusUnauthorized || token != "" {
			t.Errorf("an unlisted origin: %d, got %q", status, token)
		}
		if s.wire.refreshes() != 0 {
			t.Error("the 401 of an unlisted origin caused a refresh")
		}

		away, _ := redirector(t, func(*http.Request) string { return unlisted })
		s.Client = s.another(t, away)
		status = s.get(t, away)
		if token := received()[1].Header.Get("Authorization"); status != http.StatusUnauthorized || token != "" {
			t.Errorf("a redirect to an unlisted origin: %d, got %q", status, token)
		}

		listed, listedReceived := s.service(t)
		s.Client = s.another(t, listed)
		if status := s.get(t, listed); status != http.StatusOK {
			t.Errorf("a listed origin: %d", status)
		}
		toListed, _ := redirector(t, func(*http.Request) string { return listed })
		status = s.get(t, toListed)
		if token := listedReceived()[1].Header.Get("Authorization"); status != http.StatusUnauthorized || token != "" {
			t.Errorf("a redirect by an unlisted origin: %d, got %q", status, token)
		}

		s.Client = s.another(t, toListed, listed)
		if status := s.get(t, toListed); status != http.StatusOK {
			t.Errorf("a redirect from a listed origin to another: %d", status)
		}
	})
}

// The token for an https origin is not sent to the same host and port without TLS, or to another
// host or port.
func TestTokenIsSentOnlyToTheScheme(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		for _, test := range []struct {
			origin, url string
			sent        bool
		}{
			{"https://api.example.test", "https://api.example.test/orders", true},
			{"https://api.example.test", "https://API.example.test:443/orders", true},
			{"https://api.example.test:443/", "https://api.example.test", true},
			{"https://api.example.test", "http://api.example.test/orders", false},
			{"https://api.example.test", "http://api.example.test:443/orders", false},
			{"https://api.example.test:8443", "http://api.example.test:8443/orders", false},
			{"https://api.example.test:8443", "https://api.example.test/orders", false},
			{"https://api.example.test", "https://api.example.test.evil.test/orders", false},
			{"http://127.0.0.1:9000", "https://127.0.0.1:9000/orders", false},
		} {
			s.Client = s.another(t, test.origin)
			var token string
			s.wire.intercept = func(r *http.Request) (*http.Response, error, bool) {
				token = r.Header.Get("Authorization")
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil, true
			}
			if s.get(t, test.url); (token != "") != test.sent {
				t.Errorf("a token for %s, a request to %s: sent %q", test.origin, test.url, token)
			}
		}
	})
}

// The client does not follow redirects of the server, which could send a password or a refresh
// token to another server.
func TestRedirectsAreNotFollowed(t *testing.T) {
	other, received := redirector(t, func(r *http.Request) string { return "http://" + r.Host })
	server, _ := redirector(t, func(*http.Request) string { return other })
	session, err := client.New(client.Config{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	err = session.Login(t.Context(), "ada@example.com", "correct horse battery")
	isProblem(t, err, http.StatusTemporaryRedirect, "")
	_, err = session.Authenticate(t.Context())
	isProblem(t, err, http.StatusTemporaryRedirect, "")
	if len(*received) != 0 {
		t.Error("a redirect was followed")
	}
}

// noGetBody hides the type of a reader, for which http.NewRequest would set GetBody.
type noGetBody struct{ io.Reader }

// After a refresh, a request is sent again with the same body, or not at all.
func TestBodiesAreSentAgain(t *testing.T) {
	const limit = 1 << 20
	reader := func(letter string, length int) io.Reader { return strings.NewReader(strings.Repeat(letter, length)) }
	for name, test := range map[string]struct {
		body   func() io.Reader
		again  bool
		length int
	}{
		"none":      {func() io.Reader { return nil }, true, 0},
		"GetBody":   {func() io.Reader { return reader("a", 2*limit) }, true, 2 * limit},
		"buffered":  {func() io.Reader { return noGetBody{reader("b", limit)} }, true, limit},
		"too large": {func() io.Reader { return noGetBody{reader("c", limit+1)} }, false, limit + 1},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				url, received := s.service(t)
				s.Client = s.another(t, url)
				s.expire()
				status, body := s.post(t, url, test.body())
				if !test.again {
					if status != http.StatusUnauthorized || len(received()) != 1 {
						t.Errorf("%d after %d requests", status, len(received()))
					}
					status, body = s.post(t, url, test.body()) // with the new token
				}
				if status != http.StatusOK || len(received()) != 2 {
					t.Errorf("%d after %d requests", status, len(received()))
				}
				if len(body) != test.length || body != strings.Repeat(body[:min(1, len(body))], test.length) {
					t.Errorf("the service received %d bytes, want %d", len(body), test.length)
				}
				if s.wire.refreshes() != 1 {
					t.Errorf("%d refreshes", s.wire.refreshes())
				}
			})
		})
	}
}

// The Client does not replace an Authorization header, and does not refresh after a 401 with
// another error.
func TestNoRefreshForOtherErrors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		status, _ := s.post(t, s.server.URL+"/auth", nil, "Authorization", "Bearer other")
		if status != http.StatusUnauthorized {
			t.Errorf("another token: %d", status)
		}
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="service", error="insufficient_scope"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		defer other.Close()
		s.Client = s.another(t, other.URL)
		if status := s.get(t, other.URL); status != http.StatusUnauthorized || s.wire.refreshes() != 0 {
			t.Errorf("%d, %d refreshes", status, s.wire.refreshes())
		}
	})
}
