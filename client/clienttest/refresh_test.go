package clienttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// authenticate makes n concurrent requests, with each of the clients in turn.
func authenticate(t *testing.T, n int, clients ...*client.Client) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := clients[i%len(clients)].Authenticate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Concurrent requests with an expired access token cause one refresh, and all of them succeed.
func TestConcurrentRequestsShareARefresh(t *testing.T) {
	for name, expire := range map[string]func(*testing.T, *session){
		"rejected by the server": func(_ *testing.T, s *session) { s.expire() },
		"before expiry": func(t *testing.T, s *session) {
			s.change(t, func(tokens *client.Tokens) { tokens.RefreshAt = time.Now() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				expire(t, s)
				before := s.tokens(t)
				authenticate(t, 50, s.Client)
				if s.wire.refreshes() != 1 || s.rotations(t) != 1 {
					t.Errorf("%d refreshes were sent, %d succeeded", s.wire.refreshes(), s.rotations(t))
				}
				after := s.tokens(t)
				if after.AccessToken == before.AccessToken || !after.RefreshAt.After(before.RefreshAt) {
					t.Error("the new tokens are not stored")
				}
				if name == "before expiry" && s.wire.sent["/auth"] != 50 {
					t.Errorf("%d requests were sent, want 50 with the new token", s.wire.sent["/auth"])
				}
				authenticate(t, 5, s.Client)
				if s.wire.refreshes() != 1 {
					t.Error("the new tokens were refreshed too")
				}
			})
		})
	}
}

// Two clients with the same store refresh once, and both use the new tokens.
func TestTwoClientsShareAStore(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		other := s.another(t)
		for i := range 3 {
			s.expire()
			authenticate(t, 50, s.Client, other)
			if s.wire.refreshes() != i+1 || s.rotations(t) != int64(i+1) {
				t.Errorf("after %d expiries: %d refreshes were sent, %d succeeded", i+1, s.wire.refreshes(), s.rotations(t))
			}
		}
	})
}

// A refresh is retried once, after the time in Retry-After.
func TestRefreshIsRetried(t *testing.T) {
	for name, failure := range map[string]func(r *http.Request) (*http.Response, error){
		"unavailable": func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusServiceUnavailable, "unavailable", "1"), nil
		},
		"no response": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				s.expire()
				start := time.Now()
				s.wire.interceptRefreshes(func(r *http.Request) (*http.Response, error) {
					s.wire.interceptRefreshes(nil)
					return failure(r)
				})
				authenticate(t, 10, s.Client)
				if s.wire.refreshes() != 2 || s.rotations(t) != 1 {
					t.Errorf("%d refreshes were sent, %d succeeded", s.wire.refreshes(), s.rotations(t))
				}
				if name == "unavailable" && time.Since(start) < time.Second {
					t.Error("the client did not wait for Retry-After")
				}
			})
		})
	}
}

// If a refresh fails but the token was not rejected, the caller gets the error, and the session can
// be used again when the server is back.
func TestFailedRefreshKeepsTheSession(t *testing.T) {
	networkError := errors.New("network is unreachable")
	for name, test := range map[string]struct {
		respond func(r *http.Request) (*http.Response, error)
		sent    int // the number of refreshes
		check   func(*testing.T, error)
	}{
		"unavailable for a minute": {
			respond: func(r *http.Request) (*http.Response, error) {
				return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil
			},
			sent: 1,
			check: func(t *testing.T, err error) {
				p := isProblem(t, err, http.StatusServiceUnavailable, "unavailable")
				if p.RetryAfter != time.Minute {
					t.Errorf("retry after %v", p.RetryAfter)
				}
			},
		},
		"internal error": {
			respond: func(r *http.Request) (*http.Response, error) {
				return problem(r, http.StatusInternalServerError, "internal_error", ""), nil
			},
			sent: 1,
			check: func(t *testing.T, err error) {
				isProblem(t, err, http.StatusInternalServerError, "internal_error")
			},
		},
		"401 of a proxy": {
			respond: func(r *http.Request) (*http.Response, error) {
				response := problem(r, http.StatusUnauthorized, "invalid_refresh_token", "")
				response.Header.Set("Content-Type", "text/html")
				return response, nil
			},
			sent:  1,
			check: func(t *testing.T, err error) { isProblem(t, err, http.StatusUnauthorized, "") },
		},
		"no response": {
			respond: func(*http.Request) (*http.Response, error) { return nil, networkError },
			sent:    2,
			check: func(t *testing.T, err error) {
				if !errors.Is(err, networkError) {
					t.Error(err)
				}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				s.expire()
				before := s.tokens(t)
				s.wire.interceptRefreshes(test.respond)
				start := time.Now()
				_, err := s.Authenticate(t.Context())
				test.check(t, err)
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("the request took %v", took)
				}
				if s.wire.refreshes() != test.sent || s.tokens(t) != before {
					t.Errorf("%d refreshes were sent; tokens kept: %v", s.wire.refreshes(), s.tokens(t) == before)
				}
				s.wire.interceptRefreshes(nil)
				authenticate(t, 5, s.Client)
			})
		})
	}
}

// Concurrent requests share the error of one refresh, so that they do not overload a server that is
// down.
func TestConcurrentRequestsShareARefreshError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		w := &wire{sent: make(map[string]int)}
		w.intercept = func(r *http.Request) (*http.Response, error, bool) {
			if r.URL.Path == "/auth/refresh-tokens" {
				<-proceed
				return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil, true
			}
			response := problem(r, http.StatusUnauthorized, "invalid_access_token", "")
			response.Header.Set("WWW-Authenticate", `Bearer realm="sesame", error="invalid_token"`)
			return response, nil, true
		}
		store := &client.MemoryStore{}
		c, err := client.New(client.Config{Server: "https://auth.example.test", Store: store, Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		err = store.Update(t.Context(), func(client.Tokens) (client.Tokens, error) {
			return client.Tokens{AccessToken: "a", RefreshToken: "r", RefreshAt: time.Now().Add(time.Hour)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				_, err := c.Authenticate(t.Context())
				problem, ok := errors.AsType[*client.Problem](err)
				if !ok || problem.Code != "unavailable" {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all requests got a 401 and wait for the refresh
		close(proceed)
		wg.Wait()
		if w.refreshes() != 1 {
			t.Errorf("%d refreshes were sent", w.refreshes())
		}
	})
}

// If a refresh before expiry fails, requests use the old access token, and the next ones do not
// refresh again for a while.
func TestFailedRefreshBeforeExpiry(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.change(t, func(tokens *client.Tokens) { tokens.RefreshAt = time.Now() })
		s.wire.interceptRefreshes(func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil
		})
		for range 5 {
			authenticate(t, 1, s.Client)
		}
		if s.wire.refreshes() != 1 {
			t.Errorf("%d refreshes were sent", s.wire.refreshes())
		}
		s.expire()
		_, err := s.Authenticate(t.Context())
		isProblem(t, err, http.StatusServiceUnavailable, "unavailable")
	})
}

// If the server rejects the refresh token, the caller gets the 401, and the tokens are deleted.
func TestRejectedRefreshEndsTheSession(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		tokens := s.tokens(t)
		s.server.Logout(t, tokens.RefreshToken)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/auth", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: s}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusUnauthorized || len(body) == 0 {
			t.Errorf("%d %s", response.StatusCode, body)
		}
		if request.Header.Get("Authorization") != "" {
			t.Error("the caller's request was changed")
		}
		if s.tokens(t) != (client.Tokens{}) || s.wire.refreshes() != 1 {
			t.Errorf("%d refreshes, stored: %v", s.wire.refreshes(), s.tokens(t))
		}
		_, err = s.Authenticate(t.Context())
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if s.wire.refreshes() != 1 {
			t.Error("a refresh was sent without a refresh token")
		}
	})
}

// A refresh continues when the request that started it is canceled: other requests wait for it, and
// the new tokens are stored.
func TestRefreshContinuesAfterCancel(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.expire()
		arrived, proceed := make(chan struct{}), make(chan struct{})
		s.wire.interceptRefreshes(func(r *http.Request) (*http.Response, error) {
			s.wire.interceptRefreshes(nil)
			close(arrived)
			<-proceed
			return s.wire.base.RoundTrip(r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error), make(chan error)
		go func() { _, err := s.Authenticate(ctx); first <- err }()
		<-arrived
		go func() { _, err := s.Authenticate(t.Context()); second <- err }()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("first request: %v", err)
		}
		close(proceed)
		if err := <-second; err != nil {
			t.Errorf("second request: %v", err)
		}
		if s.wire.refreshes() != 1 || s.rotations(t) != 1 {
			t.Errorf("%d refreshes were sent, %d succeeded", s.wire.refreshes(), s.rotations(t))
		}
		stored := s.tokens(t)
		s.server.RequireActive(t, servertest.Tokens{Access: stored.AccessToken, Refresh: stored.RefreshToken})
	})
}
