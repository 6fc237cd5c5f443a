package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/token"
)

// A client that sends the same refresh token in parallel stays logged in and gets one new token. A
// token older than the previous one revokes the session.
func TestRefreshRacesItself(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		first, sibling := s.Login(t, email), s.Login(t, email)

		responses := atOnce(100, func() servertest.Response { return s.TryRefresh(t, first.Refresh) })
		successors := make(map[string]bool)
		var last servertest.Tokens
		for _, response := range responses {
			if response.Status != http.StatusOK {
				t.Fatalf("a parallel refresh failed: %d %s", response.Status, response.Raw)
			}
			last = servertest.Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
			successors[last.Refresh] = true
		}
		if len(successors) != 1 {
			t.Fatalf("a token has %d different successors", len(successors))
		}

		third := s.Refresh(t, last.Refresh)
		if response := s.TryRefresh(t, first.Refresh); response.Status != http.StatusUnauthorized {
			t.Errorf("a refresh with the grandparent: %d", response.Status)
		}
		s.RequireEnded(t, third)
		s.RequireEnded(t, last)
		s.RequireActive(t, sibling)
		s.Logout(t, third.Refresh) // keeps the first reason
		if reason := sessionReason(t, s, third); reason == nil || *reason != auth.RevokedByReuse {
			t.Errorf("the session was revoked because of %v", reason)
		}
	})
}

// atOnce makes n calls in parallel and returns their responses.
func atOnce(n int, call func() servertest.Response) []servertest.Response {
	responses, start := make([]servertest.Response, n), make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			responses[i] = call()
		})
	}
	close(start)
	all.Wait()
	return responses
}

func TestRefreshGrace(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)

		t.Run("the parent returns the same successor", func(t *testing.T) {
			first := s.Login(t, email)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(29 * time.Second)
			if again := s.Refresh(t, first.Refresh); again.Refresh != second.Refresh {
				t.Error("the successor differs")
			}
			s.RequireActive(t, second)
		})
		t.Run("the parent is refused after the grace period", func(t *testing.T) {
			first := s.Login(t, email)
			second := s.Refresh(t, first.Refresh)
			s.Clock.Advance(30 * time.Second)
			expectStatus(t, s.TryRefresh(t, first.Refresh), http.StatusUnauthorized)
			s.RequireEnded(t, second)
		})
		t.Run("the parent is refused when its successor was used", func(t *testing.T) {
			first := s.Login(t, email)
			third := s.Refresh(t, s.Refresh(t, first.Refresh).Refresh)
			expectStatus(t, s.TryRefresh(t, first.Refresh), http.StatusUnauthorized)
			s.RequireEnded(t, third)
		})
		t.Run("a retry after a logout is not reuse", func(t *testing.T) {
			first := s.Login(t, email)
			second := s.Refresh(t, first.Refresh)
			s.Logout(t, second.Refresh)
			s.Clock.Advance(time.Second)
			s.RequireEnded(t, first)
			s.RequireEnded(t, second)
			if reason := sessionReason(t, s, first); reason == nil || *reason != auth.RevokedByLogout {
				t.Errorf("the session was revoked because of %v", reason)
			}
		})
		t.Run("a token from the future is refused", func(t *testing.T) {
			first := s.Login(t, email)
			codec := token.NewRefreshCodec([]secret.Secret{servertest.Secret})
			decoded, err := codec.Decode(first.Refresh)
			if err != nil {
				t.Fatal(err)
			}
			decoded.Counter += 2 // as after restoring an older backup
			expectStatus(t, s.TryRefresh(t, codec.Encode(decoded)), http.StatusUnauthorized)
			s.RequireEnded(t, first)
		})
	})
}

func TestRefreshGraceOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{RefreshGrace: -1})
		first := s.Login(t, s.NewUser(t))
		second := s.Refresh(t, first.Refresh)
		expectStatus(t, s.TryRefresh(t, first.Refresh), http.StatusUnauthorized)
		s.RequireEnded(t, second)
	})
}

func TestSessionsExpire(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)

		idle := s.Login(t, email)
		s.Clock.Advance(336*time.Hour - time.Second)
		idle = s.Refresh(t, idle.Refresh)
		s.Clock.Advance(336 * time.Hour)
		s.RequireEnded(t, idle)

		busy := s.Login(t, email)
		for range 29 {
			s.Clock.Advance(24 * time.Hour)
			busy = s.Refresh(t, busy.Refresh)
		}
		s.Clock.Advance(24*time.Hour - time.Second)
		parent := busy
		busy = s.Refresh(t, busy.Refresh)
		s.Clock.Advance(time.Second)
		s.RequireEnded(t, parent) // no grace period after the session has expired
		s.RequireEnded(t, busy)
		if reason := sessionReason(t, s, busy); reason != nil {
			t.Errorf("an expired session was revoked because of %s", *reason)
		}
	})
}

func TestAccessTokenExpires(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		tokens := s.Login(t, s.NewUser(t))
		s.Clock.Advance(15*time.Minute - time.Second)
		if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusOK {
			t.Errorf("before its exp: %d", response.Status)
		}
		s.Clock.Advance(time.Second)
		if response := s.Authenticate(t, tokens.Access); response.Status != http.StatusUnauthorized {
			t.Errorf("at its exp: %d", response.Status)
		}
		s.RequireActive(t, s.Refresh(t, tokens.Refresh))
	})
}

// The access token of a session that has been idle for too long is refused, even if it has not
// expired.
func TestAccessTokenOfIdleSession(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		session := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Where("counter = 1")
		if err := session.Update("idle_expires_at", time.Now().UTC()).Error; err != nil {
			t.Fatal(err)
		}
		s.RequireEnded(t, tokens)
	})
}

// Any refresh token of a session revokes it: the current one, a retired one or an expired one.
func TestLogout(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		sibling := s.Login(t, email)

		retired := s.Login(t, email)
		live := s.Refresh(t, s.Refresh(t, retired.Refresh).Refresh)
		for range 2 {
			if response := s.Logout(t, retired.Refresh); response.Status != http.StatusOK {
				t.Errorf("a retired token: %d %s", response.Status, response.Raw)
			}
		}
		s.RequireEnded(t, live)
		sibling = s.RequireActive(t, sibling)

		otherServer := token.NewRefreshCodec([]secret.Secret{secret.Secret("another secret of thirty-two bytes")})
		foreign := otherServer.Encode(token.Refresh{Session: uuid.New(), Counter: 1})
		for _, invalid := range []string{
			"", "x", sibling.Access, sibling.Refresh + "A", sibling.Refresh[1:], foreign,
		} {
			response := s.Logout(t, invalid)
			if response.Status != http.StatusBadRequest || response.Code() != "invalid_refresh_token" {
				t.Errorf("%q: %d %s", invalid, response.Status, response.Raw)
			}
		}
		s.Clock.Advance(1000 * time.Hour)
		if response := s.Logout(t, sibling.Refresh); response.Status != http.StatusOK {
			t.Errorf("an expired token: %d %s", response.Status, response.Raw)
		}
	})
}

// A user whose disabled_at is set is refused from the next request on. When it is cleared, the
// sessions work again.
func TestDisabledUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		parent := s.Login(t, email)
		tokens := s.Refresh(t, parent.Refresh)
		disable := func(at any) {
			t.Helper()
			user := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", email)
			if err := user.Update("disabled_at", at).Error; err != nil {
				t.Fatal(err)
			}
		}
		disable(time.Now().UTC())
		s.RequireEnded(t, tokens)
		s.RequireEnded(t, parent) // no grace period
		s.ForgotPassword(t, email)
		known := s.NewUser(t)
		s.ForgotPassword(t, known) // messages are sent in order
		if message := s.NextEmail(t); message.To != known {
			t.Errorf("a message to %s", message.To)
		}
		unknown := s.Post(t, "/auth/login", "email", "nobody@example.com", "password", servertest.Password)
		disabled := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		if withoutID(disabled) != withoutID(unknown) {
			t.Errorf("a disabled user gets another response: %s", disabled.Raw)
		}
		disable(nil)
		s.RequireActive(t, tokens)
	})
}

// sessionReason returns why the session of a refresh token was revoked, or nil.
func sessionReason(t *testing.T, s *servertest.Server, tokens servertest.Tokens) *auth.RevokedReason {
	t.Helper()
	decoded, err := token.NewRefreshCodec([]secret.Secret{servertest.Secret}).Decode(tokens.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	var session auth.Session
	if err := s.DB.WithContext(t.Context()).Where("id = ?", decoded.Session).Take(&session).Error; err != nil {
		t.Fatal(err)
	}
	return session.RevokedReason
}

// A refresh token that is used again within the grace period from another network returns the same
// tokens, but it is recorded and logged as its own kind, because it may have been stolen. So is
// reuse.
func TestReplayFromAnotherNetwork(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{BehindProxy: true})
		s.Clock.Stop()
		email := s.NewUser(t)
		first := s.Login(t, email)
		refreshFrom := func(client, token string) servertest.Response {
			return s.Do(t, http.MethodPost, "/auth/refresh-tokens", fmt.Sprintf(`{"refreshToken":%q}`, token),
				"Content-Type", asJSON, "X-Forwarded-For", client)
		}
		second := refreshFrom("2001:db8:1:2::1", first.Refresh).Text("refreshToken")
		if again := refreshFrom("2001:db8:1:2::2", first.Refresh); again.Text("refreshToken") != second {
			t.Errorf("the successor differs: %s", again.Raw)
		}
		for range 3 {
			if again := refreshFrom("2001:db8:1:3::1", first.Refresh); again.Text("refreshToken") != second {
				t.Errorf("the successor differs: %s", again.Raw)
			}
		}
		s.Clock.Advance(31 * time.Second)
		expectStatus(t, refreshFrom("192.0.2.1", first.Refresh), http.StatusUnauthorized)

		count := make(map[string]int)
		for _, event := range recorded(t, s) {
			count[string(event.Kind)]++
		}
		for kind, want := range map[string]int{"refresh-replay": 1, "refresh-replay-elsewhere": 1, "refresh-reuse": 1} {
			if count[kind] != want {
				t.Errorf("%d events of kind %s, want %d", count[kind], kind, want)
			}
		}
		for outcome, want := range map[string]float64{
			"rotated": 1, "replayed": 1, "replayed-elsewhere": 3, "reused": 1,
		} {
			expectMetric(t, s, `sesame_outcomes_total{operation="refresh",outcome="`+outcome+`"}`, want)
		}
		for _, message := range []string{"used twice within the grace period, from two networks", "probably stolen"} {
			if log := s.Log.String(); strings.Count(log, message) != 1 || !strings.Contains(log, `"level":"WARN"`) {
				t.Errorf("%q is not in the log once:\n%s", message, log)
			}
		}
	})
}
