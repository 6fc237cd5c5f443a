package clienttest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/verify"
)

var tenMinutes = client.StepUp{MaxAge: 10 * time.Minute}

// withStepUp replaces the client by one with this OnStepUp and these origins, and lets the login
// become old. It returns the number of calls.
func (s *session) withStepUp(
	t *testing.T, onStepUp func(context.Context, client.StepUp) error, origins ...string,
) *atomic.Int64 {
	t.Helper()
	calls := &atomic.Int64{}
	var err error
	s.Client, err = client.New(client.Config{
		Server: s.server.URL, Origins: origins, Store: s.store, Transport: s.wire,
		OnStepUp: func(ctx context.Context, required client.StepUp) error {
			calls.Add(1)
			return onStepUp(ctx, required)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.server.Clock.Advance(11 * time.Minute)
	return calls
}

// prove is an OnStepUp of a user without a second factor.
func (s *session) prove(ctx context.Context, _ client.StepUp) error {
	return s.Reauthenticate(ctx, servertest.Password, "")
}

// sentTo returns the number of requests with this path.
func (s *session) sentTo(path string) int {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	return s.wire.sent[path]
}

// sensitiveService starts a service that requires a recent login and responds with the body of the
// request.
func (s *session) sensitiveService(t *testing.T) string {
	t.Helper()
	verifier, err := verify.New(servertest.PublicURL, servertest.PublicURL,
		verify.WithTransport(toServer(s.server.URL)), verify.WithClock(s.server.Clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			t.Error(err)
		}
	})
	service := httptest.NewServer(verifier.Middleware(verifier.RequireRecent(10 * time.Minute)(echo)))
	t.Cleanup(service.Close)
	return service.URL + "/orders"
}

// OnStepUp is called once, and the request is sent again once. There is no refresh.
func TestStepUp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		service := s.sensitiveService(t)
		var required client.StepUp
		calls := s.withStepUp(t, func(ctx context.Context, r client.StepUp) error {
			required = r
			return s.prove(ctx, r)
		}, service)
		before := s.tokens(t)
		if _, err := s.EnrollTOTP(ctx); err != nil || required != tenMinutes {
			t.Errorf("EnrollTOTP: %v, required %+v", err, required)
		}
		if calls.Load() != 1 || s.sentTo("/auth/factors/totp") != 2 || s.sentTo("/auth/reauthenticate") != 1 {
			t.Errorf("%d calls, %d requests", calls.Load(), s.sentTo("/auth/factors/totp"))
		}
		if _, err := s.EnrollTOTP(ctx); err != nil || calls.Load() != 1 || s.tokens(t) == before {
			t.Errorf("again: %v, %d calls", err, calls.Load())
		}
		s.server.Clock.Advance(11 * time.Minute)
		if status, body := s.post(t, service, strings.NewReader("pay")); status != http.StatusOK || body != "pay" {
			t.Errorf("a service: %d %q", status, body)
		}
		if calls.Load() != 2 || s.sentTo("/orders") != 2 || s.wire.refreshes() != 0 {
			t.Errorf("%d calls, %d requests to the service, %d refreshes", calls.Load(), s.sentTo("/orders"), s.wire.refreshes())
		}
		s.expire() // the refresh comes first
		if status, body := s.post(t, service, strings.NewReader("pay")); status != http.StatusOK || body != "pay" {
			t.Errorf("with an expired token: %d %q", status, body)
		}
		if calls.Load() != 3 || s.sentTo("/orders") != 5 || s.wire.refreshes() != 1 {
			t.Errorf("%d calls, %d requests to the service, %d refreshes", calls.Load(), s.sentTo("/orders"), s.wire.refreshes())
		}
	})
}

// Operations that replace the tokens call OnStepUp too, without a lock on the tokens.
func TestStepUpWhileReplacingTokens(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		secret, err := s.EnrollTOTP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		code := codes(t, s.server, secret.Secret)
		if _, err := s.ConfirmTOTP(ctx, code()); err != nil {
			t.Fatal(err)
		}
		refreshes := s.wire.refreshes() // that of ConfirmTOTP
		var required client.StepUp
		calls := s.withStepUp(t, func(ctx context.Context, r client.StepUp) error {
			required = r
			return s.Reauthenticate(ctx, servertest.Password, code())
		})
		for i, operation := range []func() error{
			func() error { return s.ChangePassword(ctx, servertest.Password, newPassword) },
			func() error { return s.ChangePassword(ctx, newPassword, servertest.Password) }, // still recent
			func() error { return s.ChangeEmail(ctx, "new@example.com", servertest.Password) },
			func() error { return s.DeleteAccount(ctx, servertest.Password) },
		} {
			if i != 1 {
				s.server.Clock.Advance(11 * time.Minute)
			}
			if err := operation(); err != nil {
				t.Fatalf("operation %d: %v", i, err)
			}
		}
		if calls.Load() != 3 || required != (client.StepUp{MaxAge: 10 * time.Minute, ACR: "aal2"}) {
			t.Errorf("%d calls, required %+v", calls.Load(), required)
		}
		// The access token expired once, which needs a refresh.
		if s.tokens(t) != (client.Tokens{}) || s.wire.refreshes()-refreshes > 1 {
			t.Errorf("%d refreshes", s.wire.refreshes()-refreshes)
		}
	})
}

// If OnStepUp fails, the request fails with its error. Without OnStepUp, methods return the problem
// and requests to services the response. The session stays.
func TestStepUpFails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		service := s.sensitiveService(t)
		before := s.tokens(t)
		cancelled := errors.New("the user closed the dialog")
		calls := s.withStepUp(t, func(context.Context, client.StepUp) error { return cancelled }, service)
		if _, err := s.EnrollTOTP(ctx); !errors.Is(err, cancelled) || calls.Load() != 1 {
			t.Errorf("a failing OnStepUp: %v, %d calls", err, calls.Load())
		}
		s.server.Clock.Advance(-11 * time.Minute)
		calls = s.withStepUp(t, func(ctx context.Context, _ client.StepUp) error {
			return s.Reauthenticate(ctx, "wrong", "")
		})
		_, err := s.EnrollTOTP(ctx)
		isProblem(t, err, http.StatusForbidden, "incorrect_password")
		if s.wire.refreshes() != 0 || s.tokens(t) != before || calls.Load() != 1 {
			t.Errorf("%d refreshes, %d calls", s.wire.refreshes(), calls.Load())
		}
		s.Client = s.another(t, service)
		_, err = s.EnrollTOTP(ctx)
		if p := isProblem(t, err, http.StatusUnauthorized, "insufficient_user_authentication"); p.StepUp != tenMinutes {
			t.Errorf("%+v", p)
		}
		status, body := s.post(t, service, nil)
		if status != http.StatusUnauthorized || !strings.Contains(body, "insufficient_user_authentication") {
			t.Errorf("a service: %d %s", status, body)
		}
		if s.wire.refreshes() != 0 || s.tokens(t) != before {
			t.Errorf("%d refreshes", s.wire.refreshes())
		}
	})
}

// A second challenge is the result: OnStepUp is not called again. A request is not sent again as
// another user, without a session, or if its body cannot be repeated.
func TestStepUpIsNotRepeated(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		service := s.sensitiveService(t)
		other := s.server.NewUser(t)
		kept := s.tokens(t)
		for name, test := range map[string]struct {
			onStepUp func(context.Context, client.StepUp) error
			body     io.Reader
			calls    int64
			sent     int
		}{
			"without effect": {func(context.Context, client.StepUp) error { return nil }, nil, 1, 2},
			"another user": {func(ctx context.Context, _ client.StepUp) error {
				return s.Login(ctx, other, servertest.Password)
			}, nil, 1, 1},
			"logged out": {func(context.Context, client.StepUp) error {
				s.change(t, func(tokens *client.Tokens) { *tokens = client.Tokens{} }) //nolint:contextcheck // t's
				return nil
			}, nil, 1, 1},
			"a large body": {s.prove, noGetBody{strings.NewReader(strings.Repeat("a", 1<<20+1))}, 0, 1},
		} {
			s.change(t, func(tokens *client.Tokens) { *tokens = kept })
			calls, before := s.withStepUp(t, test.onStepUp, service), s.sentTo("/orders")
			status, body := s.post(t, service, test.body)
			if status != http.StatusUnauthorized || !strings.Contains(body, "insufficient_user_authentication") {
				t.Errorf("%s: %d %s", name, status, body)
			}
			if calls.Load() != test.calls || s.sentTo("/orders")-before != test.sent {
				t.Errorf("%s: %d calls, %d requests", name, calls.Load(), s.sentTo("/orders")-before)
			}
			s.server.Clock.Advance(-11 * time.Minute)
		}
		s.change(t, func(tokens *client.Tokens) { *tokens = kept })
		calls := s.withStepUp(t, func(ctx context.Context, _ client.StepUp) error {
			_, err := s.EnrollTOTP(ctx) // OnStepUp is not called for its own requests
			return err
		})
		_, err := s.EnrollTOTP(ctx)
		isProblem(t, err, http.StatusUnauthorized, "insufficient_user_authentication")
		s.wire.interceptPath("/auth/delete-account", func(r *http.Request) (*http.Response, error) {
			response := problem(r, http.StatusUnauthorized, "insufficient_user_authentication", "")
			response.Header.Set("WWW-Authenticate", `Bearer error=insufficient_user_authentication, max_age=60`)
			return response, nil
		})
		if err := s.DeleteAccount(ctx, servertest.Password); calls.Load() != 2 || s.wire.refreshes() != 0 {
			t.Errorf("%v, %d calls, %d refreshes", err, calls.Load(), s.wire.refreshes())
		}
		calls = s.withStepUp(t, func(ctx context.Context, _ client.StepUp) error {
			return s.Login(ctx, other, servertest.Password)
		})
		before := s.sentTo("/auth/delete-account")
		err = s.DeleteAccount(ctx, servertest.Password)
		isProblem(t, err, http.StatusUnauthorized, "insufficient_user_authentication")
		if calls.Load() != 1 || s.sentTo("/auth/delete-account")-before != 1 {
			t.Error("the account of another user would have been deleted")
		}
	})
}

// Concurrent requests share one call of OnStepUp. Requests that need no recent login do not wait.
func TestConcurrentStepUp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		service := s.sensitiveService(t)
		calls := s.withStepUp(t, func(ctx context.Context, r client.StepUp) error {
			if _, err := s.Authenticate(ctx); err != nil {
				return err
			}
			if _, err := s.Authenticate(t.Context()); err != nil { //nolint:contextcheck // of another goroutine
				return err
			}
			return s.prove(ctx, r)
		}, service)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				if i%2 == 0 {
					if status := s.get(t, service); status != http.StatusOK {
						t.Errorf("the service: %d", status)
					}
				} else if _, err := s.StartPasskeyRegistration(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if calls.Load() != 1 || s.wire.refreshes() != 0 || s.sentTo("/auth/reauthenticate") != 1 {
			t.Errorf("%d calls, %d refreshes", calls.Load(), s.wire.refreshes())
		}
	})
}

// firstRequest is the key of the context of a request.
type firstRequest struct{}

// A request that is given up does not wait for OnStepUp. If it caused the call, another request
// takes over.
func TestCancelledStepUp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := login(t, engine)
		asked := make(chan struct{}, 2)
		calls := s.withStepUp(t, func(ctx context.Context, r client.StepUp) error {
			asked <- struct{}{}
			if ctx.Value(firstRequest{}) == nil {
				return s.prove(ctx, r)
			}
			<-ctx.Done() // the dialog is open
			return ctx.Err()
		})
		first, cancel := context.WithCancel(context.WithValue(t.Context(), firstRequest{}, true))
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := s.EnrollTOTP(first); !errors.Is(err, context.Canceled) {
				t.Errorf("the request that was given up: %v", err)
			}
		})
		<-asked
		waiting, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		if _, err := s.EnrollTOTP(waiting); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a request with a timeout: %v", err)
		}
		both.Go(func() {
			if _, err := s.EnrollTOTP(t.Context()); err != nil {
				t.Errorf("the other request: %v", err)
			}
		})
		time.Sleep(50 * time.Millisecond) // it waits now, or calls OnStepUp itself
		cancel()
		both.Wait()
		if calls.Load() != 2 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// The parameters of a challenge can have any case and order, with or without quotes.
func TestStepUpChallenges(t *testing.T) {
	for challenge, want := range map[string]client.StepUp{
		`Bearer error="insufficient_user_authentication"`:                {},
		`Bearer error="insufficient_user_authentication", max_age="600"`: tenMinutes,
		`BEARER max_age=600 , acr_values=aal2, Error=insufficient_user_authentication`: {
			MaxAge: 10 * time.Minute, ACR: "aal2",
		},
		`Bearer realm="a", error="insufficient_user_authentication", acr_values="aal3 aal2"`: {ACR: "aal3"},
		`Bearer error="insufficient_user_authentication", max_age="99999999999999999999"`: {
			MaxAge: (1<<31 - 1) * time.Second,
		},
	} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("WWW-Authenticate", `Basic realm="a"`)
			w.Header().Add("WWW-Authenticate", challenge)
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"code":"insufficient_user_authentication"}`)
		}))
		c, err := client.New(client.Config{Server: service.URL})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.EnrollTOTP(t.Context())
		p := isProblem(t, err, http.StatusUnauthorized, "insufficient_user_authentication")
		if p.StepUp != want {
			t.Errorf("%s: %+v", challenge, p.StepUp)
		}
		service.Close()
	}
}
