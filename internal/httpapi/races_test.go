package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi/apitest"
)

// racedPairs is how often each pair of operations meets. Run with -count for more.
const racedPairs = 25

// race makes two calls at once and returns the tokens the first one brought, if any.
func race(t *testing.T, first, second func() apitest.Answer) (apitest.Tokens, bool) {
	t.Helper()
	var one, other apitest.Answer
	var both sync.WaitGroup
	both.Go(func() { one = first() })
	both.Go(func() { other = second() })
	both.Wait()
	if other.Status != http.StatusOK {
		t.Fatalf("the second answered %d %s", other.Status, other.Raw)
	}
	switch one.Status {
	case http.StatusOK:
		return apitest.Tokens{Access: one.Text("accessToken"), Refresh: one.Text("refreshToken")}, true
	case http.StatusUnauthorized:
		return apitest.Tokens{}, false
	}
	t.Fatalf("the first answered %d %s", one.Status, one.Raw)
	return apitest.Tokens{}, false
}

// No refresh survives a logout that was acknowledged, however close the race.
func TestLogoutRacesRefresh(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := apitest.Start(t, engine, apitest.Options{})
		address := s.NewUser(t)
		for range racedPairs {
			tokens := s.Login(t, address)
			refreshed, granted := race(t,
				func() apitest.Answer { return s.TryRefresh(t, tokens.Refresh) },
				func() apitest.Answer { return s.Logout(t, tokens.Refresh) })
			s.ExpectDead(t, tokens)
			if granted {
				s.ExpectDead(t, refreshed)
			}
		}
	})
}

// Nor does a refresh, or a login with the old password, that meets a reset.
func TestResetRacesRefreshAndLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := apitest.Start(t, engine, apitest.Options{})
		address := s.NewUser(t)
		passwords := [2]string{apitest.Password, "an even better horse"}
		for i := range racedPairs {
			old, fresh := passwords[i%2], passwords[(i+1)%2]
			login := func() apitest.Answer {
				return s.Post(t, "/auth/login", "email", address, "password", old)
			}
			opened := login()
			tokens := apitest.Tokens{Access: opened.Text("accessToken"), Refresh: opened.Text("refreshToken")}
			s.Forgot(t, address)
			resetToken := s.ResetToken(t, s.NextLetter(t))
			attempt := login
			if i%4 < 2 {
				attempt = func() apitest.Answer { return s.TryRefresh(t, tokens.Refresh) }
			}
			gained, granted := race(t, attempt, func() apitest.Answer { return s.Reset(t, resetToken, fresh) })
			s.NextLetter(t) // of the changed password
			s.ExpectDead(t, tokens)
			if granted {
				s.ExpectDead(t, gained)
			}
			if answer := login(); answer.Status != http.StatusUnauthorized {
				t.Errorf("the old password: %d", answer.Status)
			}
		}
	})
}
