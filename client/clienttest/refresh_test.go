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

// many calls authenticate at once, with each of the clients in turn.
func many(t *testing.T, n int, clients ...*client.Client) {
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

// However many calls meet an access token that is over, one refresh reaches the server, and every call succeeds.
func TestOneRefreshForAll(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *session){
		"told by the server": func(_ *testing.T, s *session) { s.expire() },
		"ahead of expiry": func(t *testing.T, s *session) {
			s.change(t, func(tokens *client.Tokens) { tokens.RefreshAt = time.Now() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				end(t, s)
				before := s.tokens(t)
				many(t, 50, s.Client)
				if s.wire.refreshes() != 1 || s.rotations(t) != 1 {
					t.Errorf("%d refreshes were sent and %d made", s.wire.refreshes(), s.rotations(t))
				}
				if after := s.tokens(t); after.AccessToken == before.AccessToken || !after.RefreshAt.After(before.RefreshAt) {
					t.Error("the new tokens are not stored")
				}
				if name == "ahead of expiry" && s.wire.sent["/auth"] != 50 {
					t.Errorf("%d calls were sent, 50 of them with a new token", s.wire.sent["/auth"])
				}
				many(t, 5, s.Client)
				if s.wire.refreshes() != 1 {
					t.Error("new tokens are refreshed")
				}
			})
		})
	}
}

// Two that share what is stored refresh once between them, and each goes on with what the other got.
func TestTwoClientsShareAStore(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		other := s.another(t)
		for i := range 3 {
			s.expire()
			many(t, 50, s.Client, other)
			if s.wire.refreshes() != i+1 || s.rotations(t) != int64(i+1) {
				t.Errorf("after %d expiries %d refreshes were sent and %d made", i+1, s.wire.refreshes(), s.rotations(t))
			}
		}
	})
}

// A server that says when to come is asked again then, and the caller notices nothing.
func TestRefreshIsTriedOnceMore(t *testing.T) {
	for name, failure := range map[string]func(r *http.Request) (*http.Response, error){
		"unavailable": func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusServiceUnavailable, "unavailable", "1"), nil
		},
		"no answer": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				s.expire()
				began := time.Now()
				s.wire.answerRefreshes(func(r *http.Request) (*http.Response, error) {
					s.wire.answerRefreshes(nil)
					return failure(r)
				})
				many(t, 10, s.Client)
				if s.wire.refreshes() != 2 || s.rotations(t) != 1 {
					t.Errorf("%d refreshes were sent and %d made", s.wire.refreshes(), s.rotations(t))
				}
				if name == "unavailable" && time.Since(began) < time.Second {
					t.Error("Retry-After was not waited for")
				}
			})
		})
	}
}

// A refresh that fails without being refused is the caller's error, and the session goes on when the server does.
func TestFailedRefreshKeepsTheSession(t *testing.T) {
	gone := errors.New("the cable is cut")
	for name, test := range map[string]struct {
		answer func(r *http.Request) (*http.Response, error)
		sent   int
		check  func(*testing.T, error)
	}{
		"unavailable for long": {func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil
		}, 1, func(t *testing.T, err error) {
			if p := isProblem(t, err, http.StatusServiceUnavailable, "unavailable"); p.RetryAfter != time.Minute {
				t.Errorf("retry after %v", p.RetryAfter)
			}
		}},
		"an internal error": {func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusInternalServerError, "internal_error", ""), nil
		}, 1, func(t *testing.T, err error) { isProblem(t, err, http.StatusInternalServerError, "internal_error") }},
		"a proxy's 401": {func(r *http.Request) (*http.Response, error) {
			response := problem(r, http.StatusUnauthorized, "invalid_refresh_token", "")
			response.Header.Set("Content-Type", "text/html")
			return response, nil
		}, 1, func(t *testing.T, err error) { isProblem(t, err, http.StatusUnauthorized, "") }},
		"no answer": {func(*http.Request) (*http.Response, error) { return nil, gone }, 2, func(t *testing.T, err error) {
			if !errors.Is(err, gone) {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				s.expire()
				before := s.tokens(t)
				s.wire.answerRefreshes(test.answer)
				began := time.Now()
				_, err := s.Authenticate(t.Context())
				test.check(t, err)
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("the caller waited for %v", took)
				}
				if s.wire.refreshes() != test.sent || s.tokens(t) != before {
					t.Errorf("%d refreshes were sent; kept: %v", s.wire.refreshes(), s.tokens(t) == before)
				}
				s.wire.answerRefreshes(nil)
				many(t, 5, s.Client)
			})
		})
	}
}

// All who wait for a refresh share its failure: a server that is down is not asked again by each.
func TestFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		w := &wire{sent: make(map[string]int)}
		w.instead = func(r *http.Request) (*http.Response, error, bool) {
			if r.URL.Path == "/auth/refresh-tokens" {
				<-goOn
				return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil, true
			}
			response := problem(r, http.StatusUnauthorized, "invalid_access_token", "")
			response.Header.Set("WWW-Authenticate", `Bearer realm="sesame", error="invalid_token"`)
			return response, nil, true
		}
		store := &client.Memory{}
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
		synctest.Wait() // all are answered 401, and wait for the one refresh
		close(goOn)
		wg.Wait()
		if w.refreshes() != 1 {
			t.Errorf("%d refreshes were sent", w.refreshes())
		}
	})
}

// Ahead of expiry there is still a token to go on with, and one failure is enough for a while.
func TestFailedRefreshAheadDisturbsNobody(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.change(t, func(tokens *client.Tokens) { tokens.RefreshAt = time.Now() })
		s.wire.answerRefreshes(func(r *http.Request) (*http.Response, error) {
			return problem(r, http.StatusServiceUnavailable, "unavailable", "60"), nil
		})
		for range 5 {
			many(t, 1, s.Client)
		}
		if s.wire.refreshes() != 1 {
			t.Errorf("%d refreshes were sent", s.wire.refreshes())
		}
		s.expire()
		_, err := s.Authenticate(t.Context())
		isProblem(t, err, http.StatusServiceUnavailable, "unavailable")
	})
}

// A session that the server ended is over here too: the caller gets the server's 401, and no token is left.
func TestRefusedRefreshEndsTheSession(t *testing.T) {
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
		if response.StatusCode != http.StatusUnauthorized || len(body) == 0 || request.Header.Get("Authorization") != "" {
			t.Errorf("%d %s, and the caller's request has %v", response.StatusCode, body, request.Header)
		}
		if s.tokens(t) != (client.Tokens{}) || s.wire.refreshes() != 1 {
			t.Errorf("after %d refreshes %v is left", s.wire.refreshes(), s.tokens(t))
		}
		_, err = s.Authenticate(t.Context())
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		if s.wire.refreshes() != 1 {
			t.Error("without a token there is nothing to refresh")
		}
	})
}

// Who gives up waiting does not end the refresh that others wait for, and its tokens are stored.
func TestRefreshOutlivesItsFirstCaller(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		s.expire()
		arrived, goOn := make(chan struct{}), make(chan struct{})
		s.wire.answerRefreshes(func(r *http.Request) (*http.Response, error) {
			s.wire.answerRefreshes(nil)
			close(arrived)
			<-goOn
			return s.wire.base.RoundTrip(r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error), make(chan error)
		go func() { _, err := s.Authenticate(ctx); first <- err }()
		<-arrived
		go func() { _, err := s.Authenticate(t.Context()); second <- err }()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		close(goOn)
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		if s.wire.refreshes() != 1 || s.rotations(t) != 1 {
			t.Errorf("%d refreshes were sent and %d made", s.wire.refreshes(), s.rotations(t))
		}
		s.server.ExpectLive(t, servertest.Tokens{Access: s.tokens(t).AccessToken, Refresh: s.tokens(t).RefreshToken})
	})
}
