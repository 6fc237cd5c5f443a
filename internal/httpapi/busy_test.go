package httpapi_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// If no password can be hashed in time, the operations that need a hash return 503 with
// Retry-After, and do not use up a reset token. Other operations keep working.
func TestBusyHashing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		idle := servertest.Start(t, engine, servertest.Options{})
		email := idle.NewUser(t)
		session := idle.Login(t, email)
		idle.ForgotPassword(t, email)
		resetToken := idle.ResetToken(t, idle.NextEmail(t))
		// Not started earlier: its worker might have sent the email.
		busy := idle.StartAnother(t, engine, servertest.Options{NoHashing: true})
		for name, response := range map[string]servertest.Response{
			"register":      busy.Register(t, "busy@example.com"),
			"login":         busy.Post(t, "/auth/login", "email", email, "password", servertest.Password),
			"unknown email": busy.Post(t, "/auth/login", "email", "nobody@example.com", "password", servertest.Password),
			"reset":         busy.ResetPassword(t, resetToken, "an even better horse"),
		} {
			if response.Status != http.StatusServiceUnavailable || response.Code() != "unavailable" ||
				response.Header.Get("Retry-After") != "2" {
				t.Errorf("%s: %d %v %s", name, response.Status, response.Header, response.Raw)
			}
		}
		log := busy.Log.String()
		if strings.Contains(log, "request failed") || strings.Count(log, "could not be hashed in time") != 1 {
			t.Errorf("the 503 responses are not one line in the log:\n%s", log)
		}
		busy.RequireActive(t, session)
		if response := idle.ResetPassword(t, resetToken, "an even better horse"); response.Status != http.StatusOK {
			t.Errorf("the reset token afterwards: %d %s", response.Status, response.Raw)
		}
	})
}

// An attempt that could not be hashed in time does not count against the rate limits.
func TestBusyHashingIsRefunded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		idle := servertest.Start(t, engine, servertest.Options{Throttle: true})
		email := idle.NewUser(t)
		idle.ForgotPassword(t, email)
		resetToken := idle.ResetToken(t, idle.NextEmail(t))
		busy := idle.StartAnother(t, engine, servertest.Options{Throttle: true, NoHashing: true})
		for range 20 {
			for name, response := range map[string]servertest.Response{
				"register": busy.Register(t, "busy@example.com"),
				"login":    busy.Post(t, "/auth/login", "email", email, "password", servertest.Password),
				"reset":    busy.ResetPassword(t, resetToken, "an even better horse"),
			} {
				if response.Status != http.StatusServiceUnavailable {
					t.Fatalf("%s: %d %s", name, response.Status, response.Raw)
				}
			}
		}
		guess := func() servertest.Response {
			return idle.Post(t, "/auth/login", "email", email, "password", "not the password")
		}
		for range 10 {
			expectStatus(t, guess(), http.StatusUnauthorized)
		}
		expectStatus(t, guess(), http.StatusTooManyRequests)
	})
}

// A user in a network that they have logged in from does not wait for a flood of logins from
// others.
func TestKnownNetworksAreHashedFirst(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{SlowHashing: true, BehindProxy: true})
		email := s.NewUser(t)
		const home = "198.51.100.1"
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), http.StatusOK)
		const flood = 40
		var answered atomic.Int64
		var logins sync.WaitGroup
		for range flood {
			logins.Go(func() {
				loginFrom(t, s, "192.0.2.1", "nobody@example.com", wrong)
				answered.Add(1)
			})
		}
		for waiting := 0.0; waiting < flood/2; time.Sleep(time.Millisecond) {
			waiting, _ = s.Metric(t, "sesame_hashing_waiting")
			if answered.Load() > flood/2 {
				t.Fatal("the passwords were hashed before they waited")
			}
		}
		before := answered.Load()
		expectStatus(t, loginFrom(t, s, home, email, servertest.Password), http.StatusOK)
		if meanwhile := answered.Load() - before; meanwhile >= flood/2 {
			t.Errorf("%d of %d other logins went first", meanwhile, flood)
		}
		logins.Wait()
	})
}
