package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

const year = 365 * 24 * time.Hour

// After a clock that was ahead is set back, users can log in at once.
func TestLoginAfterClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, ahead := range []time.Duration{time.Hour, year} {
			s := limited(t, engine)
			email := s.NewUser(t)
			s.Clock.Advance(ahead)
			expectStatus(t, loginFrom(t, s, "192.0.2.1", email, servertest.Password), 200)
			expectStatus(t, loginFrom(t, s, "192.0.2.1", email, wrong), 401)
			s.Clock.Advance(-ahead)
			for _, email := range []string{email, s.NewUser(t)} {
				expectStatus(t, loginFrom(t, s, "192.0.2.1", email, servertest.Password), 200)
				expectStatus(t, loginFrom(t, s, "192.0.2.2", email, servertest.Password), 200)
			}
		}
	})
}

// A session that was started or refreshed while the clock was ahead has no longer grace period, and
// lasts no longer than others.
func TestSessionAfterClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)

		s.Clock.Advance(time.Hour)
		first := s.Login(t, email)
		second := s.Refresh(t, first.Refresh)
		s.Clock.Advance(-time.Hour)
		expectStatus(t, s.TryRefresh(t, first.Refresh), http.StatusUnauthorized)
		s.RequireEnded(t, second)

		s.Clock.Advance(20 * time.Second) // as much as clocks of instances may differ
		first = s.Login(t, email)
		second = s.Refresh(t, first.Refresh)
		s.Clock.Advance(-20 * time.Second)
		if again := s.Refresh(t, first.Refresh); again.Refresh != second.Refresh {
			t.Error("the successor differs")
		}

		s.Clock.Advance(year)
		tokens := s.Login(t, email)
		s.Clock.Advance(-year)
		tokens = s.Refresh(t, tokens.Refresh)
		for range 3 {
			s.Clock.Advance(239 * time.Hour)
			tokens = s.Refresh(t, tokens.Refresh)
		}
		s.Clock.Advance(3 * time.Hour)
		s.RequireEnded(t, tokens)
	})
}

// A reset link that was made while the clock was ahead would be valid for too long, so it is not
// valid.
func TestResetLinkAfterClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		for ahead, want := range map[time.Duration]int{
			time.Hour:                     http.StatusUnauthorized,
			time.Minute + time.Second:     http.StatusUnauthorized,
			time.Minute - 100*time.Second: http.StatusOK, // the clock was behind
			time.Minute:                   http.StatusOK,
		} {
			s.Clock.Advance(ahead)
			expectStatus(t, s.ForgotPassword(t, email), http.StatusAccepted)
			resetToken := s.ResetToken(t, s.NextEmail(t))
			s.WaitForOutbox(t) // an email whose row is still there might be sent again
			s.Clock.Advance(-ahead)
			expectStatus(t, s.ResetPassword(t, resetToken, "an even better horse"), want)
			if want == http.StatusOK {
				s.NextEmail(t) // that the password was changed
				s.WaitForOutbox(t)
			}
		}
	})
}

// Instances whose clocks differ by less than a minute accept each other's tokens.
func TestInstancesWithDifferentClocks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		behind := servertest.Start(t, engine, servertest.Options{})
		ahead := behind.StartAnother(t, engine, servertest.Options{})
		behind.Clock.Stop()
		ahead.Clock.Stop()
		ahead.Clock.Advance(58 * time.Second)
		email := behind.NewUser(t)
		for _, pair := range [][2]*servertest.Server{{behind, ahead}, {ahead, behind}} {
			tokens := pair[0].Login(t, email)
			expectStatus(t, pair[1].Authenticate(t, tokens.Access), http.StatusOK)
			tokens = pair[1].Refresh(t, tokens.Refresh)
			pair[0].RequireActive(t, tokens)
		}
	})
}
