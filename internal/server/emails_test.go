package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Anyone can register an account with someone else's email. The name could be a scam, so emails
// must not contain it.
func TestEmailsContainNoName(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		const name, email = "You won at evil example", "ada@example.com"
		registered := s.Post(t, "/auth/register",
			"name", name, "email", email, "password", servertest.Password, "confirm", servertest.Password)
		if registered.Status != http.StatusCreated {
			t.Fatalf("register: %d %s", registered.Status, registered.Raw)
		}
		s.ForgotPassword(t, email)
		reset := s.NextEmail(t)
		response := s.ResetPassword(t, s.ResetToken(t, reset), "an even better horse")
		if response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		changed := s.NextEmail(t)
		for _, message := range []servertest.Email{reset, changed} {
			text := strings.Join(strings.Fields(message.Raw), " ")
			if !strings.Contains(text, "Reset password: https://auth.example.test/reset-password") {
				t.Errorf("no link in\n%s", message.Raw)
			}
			if strings.Contains(text, "You won") || strings.Contains(text, "evil") {
				t.Errorf("the name is in\n%s", message.Raw)
			}
		}
	})
}
