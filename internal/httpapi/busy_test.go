package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Where no password can be hashed in time, the operations that need it say when to try again, and nothing is
// lost: the reset token is still good. The others go on.
func TestBusyHashing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		idle := servertest.Start(t, engine, servertest.Options{})
		address := idle.NewUser(t)
		session := idle.Login(t, address)
		idle.Forgot(t, address)
		resetToken := idle.ResetToken(t, idle.NextEmail(t))
		// Not before: its worker might have sent the letter.
		busy := idle.Beside(t, engine, servertest.Options{NoHashing: true})
		for name, answer := range map[string]servertest.Answer{
			"register":        busy.Register(t, "busy@example.com"),
			"login":           busy.Post(t, "/auth/login", "email", address, "password", servertest.Password),
			"login of nobody": busy.Post(t, "/auth/login", "email", "nobody@example.com", "password", servertest.Password),
			"reset":           busy.Reset(t, resetToken, "an even better horse"),
		} {
			if answer.Status != http.StatusServiceUnavailable || answer.Code() != "unavailable" || answer.Header.Get("Retry-After") != "2" {
				t.Errorf("%s: %d %v %s", name, answer.Status, answer.Header, answer.Raw)
			}
		}
		if strings.Contains(busy.Log.String(), "request failed") {
			t.Error("a flood of logins would flood the log")
		}
		busy.ExpectLive(t, session)
		if answer := idle.Reset(t, resetToken, "an even better horse"); answer.Status != http.StatusOK {
			t.Errorf("the token after a busy time: %d %s", answer.Status, answer.Raw)
		}
	})
}

// Who waited for a hash in vain has paid nothing.
func TestBusyCostsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		idle := servertest.Start(t, engine, servertest.Options{Throttle: true})
		address := idle.NewUser(t)
		idle.Forgot(t, address)
		resetToken := idle.ResetToken(t, idle.NextEmail(t))
		busy := idle.Beside(t, engine, servertest.Options{Throttle: true, NoHashing: true})
		for range 20 {
			for name, answer := range map[string]servertest.Answer{
				"register": busy.Register(t, "busy@example.com"),
				"login":    busy.Post(t, "/auth/login", "email", address, "password", servertest.Password),
				"reset":    busy.Reset(t, resetToken, "an even better horse"),
			} {
				if answer.Status != http.StatusServiceUnavailable {
					t.Fatalf("%s: %d %s", name, answer.Status, answer.Raw)
				}
			}
		}
		for range 10 {
			if answer := idle.Post(t, "/auth/login", "email", address, "password", "not the password"); answer.Status != http.StatusUnauthorized {
				t.Errorf("a guess afterwards: %d", answer.Status)
			}
		}
		if answer := idle.Post(t, "/auth/login", "email", address, "password", "not the password"); answer.Status != http.StatusTooManyRequests {
			t.Errorf("the eleventh: %d", answer.Status)
		}
	})
}
