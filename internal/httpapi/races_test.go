package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// How often each pair of operations races, on each engine.
const (
	racedLogouts = 500
	racedResets  = 50
)

// race makes two calls in parallel. It returns the tokens of the first one, if it succeeded.
func race(t *testing.T, first, second func() servertest.Response) (servertest.Tokens, bool) {
	t.Helper()
	var one, other servertest.Response
	var both sync.WaitGroup
	both.Go(func() { one = first() })
	both.Go(func() { other = second() })
	both.Wait()
	if other.Status != http.StatusOK {
		t.Fatalf("the second call returned %d %s", other.Status, other.Raw)
	}
	switch one.Status {
	case http.StatusOK:
		return servertest.Tokens{Access: one.Text("accessToken"), Refresh: one.Text("refreshToken")}, true
	case http.StatusUnauthorized:
		return servertest.Tokens{}, false
	}
	t.Fatalf("the first call returned %d %s", one.Status, one.Raw)
	return servertest.Tokens{}, false
}

// After a successful logout no tokens of the session are valid, not even those of a concurrent
// refresh.
func TestLogoutRacesRefresh(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		for range racedLogouts {
			tokens := s.Login(t, email)
			refreshed, granted := race(t,
				func() servertest.Response { return s.TryRefresh(t, tokens.Refresh) },
				func() servertest.Response { return s.Logout(t, tokens.Refresh) })
			s.RequireEnded(t, tokens)
			if granted {
				s.RequireEnded(t, refreshed)
			}
		}
	})
}

// The tokens of a refresh, or of a login with the old password, do not survive a concurrent reset.
func TestResetRacesRefreshAndLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		passwords := [2]string{servertest.Password, "an even better horse"}
		for i := range racedResets {
			old, fresh := passwords[i%2], passwords[(i+1)%2]
			login := func() servertest.Response {
				return s.Post(t, "/auth/login", "email", email, "password", old)
			}
			opened := login()
			tokens := servertest.Tokens{Access: opened.Text("accessToken"), Refresh: opened.Text("refreshToken")}
			s.ForgotPassword(t, email)
			resetToken := s.ResetToken(t, s.NextEmail(t))
			attempt := login
			if i%4 < 2 {
				attempt = func() servertest.Response { return s.TryRefresh(t, tokens.Refresh) }
			}
			gained, granted := race(t, attempt, func() servertest.Response { return s.ResetPassword(t, resetToken, fresh) })
			s.NextEmail(t) // the notification of the changed password
			s.RequireEnded(t, tokens)
			if granted {
				s.RequireEnded(t, gained)
			}
			if response := login(); response.Status != http.StatusUnauthorized {
				t.Errorf("the old password: %d", response.Status)
			}
		}
	})
}
