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

// redirector answers every request with a redirect, and keeps what it was sent.
func redirector(t *testing.T, to func(r *http.Request) string) (url string, seen *[]*http.Request) {
	t.Helper()
	seen = &[]*http.Request{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r)
		http.Redirect(w, r, to(r), http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	return server.URL, seen
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

// The access token goes to the origins that were named, and to no other by whatever way.
func TestTokenGoesNowhereElse(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		stranger, seen := s.service(t)
		if status := s.get(t, stranger); status != http.StatusUnauthorized || seen()[0].Header.Get("Authorization") != "" {
			t.Errorf("a stranger got %q", seen()[0].Header.Get("Authorization"))
		}
		if s.wire.refreshes() != 0 {
			t.Error("a stranger's 401 began a refresh")
		}

		away, _ := redirector(t, func(*http.Request) string { return stranger })
		s.Client = s.another(t, away)
		if status := s.get(t, away); status != http.StatusUnauthorized || seen()[1].Header.Get("Authorization") != "" {
			t.Errorf("by a redirect a stranger got %q", seen()[1].Header.Get("Authorization"))
		}

		friend, friendSeen := s.service(t)
		s.Client = s.another(t, friend)
		if status := s.get(t, friend); status != http.StatusOK {
			t.Errorf("the service answered %d", status)
		}
		home, _ := redirector(t, func(*http.Request) string { return friend })
		if status := s.get(t, home); status != http.StatusUnauthorized || friendSeen()[1].Header.Get("Authorization") != "" {
			t.Errorf("a stranger made the session call the service: %d", status)
		}

		s.Client = s.another(t, home, friend)
		if status := s.get(t, home); status != http.StatusOK {
			t.Errorf("from one named origin to another: %d", status)
		}
	})
}

// A password or a refresh token in a body follows no redirect.
func TestBodiesFollowNoRedirect(t *testing.T) {
	stranger, seen := redirector(t, func(r *http.Request) string { return "http://" + r.Host })
	moved, _ := redirector(t, func(*http.Request) string { return stranger })
	session, err := client.New(client.Config{Server: moved})
	if err != nil {
		t.Fatal(err)
	}
	isProblem(t, session.Login(t.Context(), "ada@example.com", "correct horse battery"), http.StatusTemporaryRedirect, "")
	_, err = session.Authenticate(t.Context())
	isProblem(t, err, http.StatusTemporaryRedirect, "")
	if len(*seen) != 0 {
		t.Error("a stranger got the password")
	}
}

// noGetBody hides what http.NewRequest would look for.
type noGetBody struct{ io.Reader }

// A request is sent again with the body it had, or not at all.
func TestBodiesAreSentAgain(t *testing.T) {
	const limit = 1 << 20
	for name, test := range map[string]struct {
		body   func() io.Reader
		again  bool
		length int
	}{
		"none":                   {func() io.Reader { return nil }, true, 0},
		"one that can be had":    {func() io.Reader { return strings.NewReader(strings.Repeat("a", 2*limit)) }, true, 2 * limit},
		"one that is kept":       {func() io.Reader { return noGetBody{strings.NewReader(strings.Repeat("b", limit))} }, true, limit},
		"one too large for that": {func() io.Reader { return noGetBody{strings.NewReader(strings.Repeat("c", limit+1))} }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				url, seen := s.service(t)
				s.Client = s.another(t, url)
				s.expire()
				length := test.length
				status, body := s.post(t, url, test.body())
				if !test.again {
					if status != http.StatusUnauthorized || len(seen()) != 1 {
						t.Errorf("%d after %d requests", status, len(seen()))
					}
					status, body = s.post(t, url, test.body()) // by then there is a new token
					length = limit + 1
				}
				if status != http.StatusOK || len(body) != length || body != strings.Repeat(body[:min(1, len(body))], length) || len(seen()) != 2 {
					t.Errorf("%d and %d bytes after %d requests", status, len(body), len(seen()))
				}
				if s.wire.refreshes() != 1 {
					t.Errorf("%d refreshes", s.wire.refreshes())
				}
			})
		})
	}
}

// What has its own Authorization is another's business, and so is a 401 that is not about the token.
func TestRequestsThatAreLeftAlone(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		if status, _ := s.post(t, s.server.URL+"/auth", nil, "Authorization", "Bearer other"); status != http.StatusUnauthorized {
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
