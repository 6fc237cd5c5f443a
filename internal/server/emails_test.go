package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Anyone can register an account with someone else's email. What they enter could be a scam, so no
// email that the server can send contains it. Every email looks like the brand, and has a button
// and the same link as text.
func TestEmailsContainNoUserText(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		const marker, email = "evil.example", "ada@example.com"
		registered := s.Post(t, "/auth/register", "name", "You won at "+marker, "bio", "Visit "+marker,
			"email", email, "password", servertest.Password, "confirm", servertest.Password)
		if registered.Status != http.StatusCreated {
			t.Fatalf("register: %d %s", registered.Status, registered.Raw)
		}
		emails := s.Auth.Emails()
		if len(emails) == 0 {
			t.Error("the server sends no emails")
		}
		for kind, compose := range emails {
			message, err := compose(t.Context(), email)
			if err != nil || message == nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if message.To != email {
				t.Errorf("%s goes to %s", kind, message.To)
			}
			for part, text := range map[string]string{
				"subject": message.Subject, "text": message.Text, "HTML": message.HTML,
			} {
				if text == "" || strings.Contains(text, marker) || strings.Contains(text, "You won") {
					t.Errorf("%s: %s:\n%s", kind, part, text)
				}
			}
			if !strings.Contains(message.Text, "\n"+servertest.PublicURL+"/") {
				t.Errorf("%s: no link in\n%s", kind, message.Text)
			}
			for _, part := range []string{
				`bgcolor="` + brand.DefaultColor + `"`, `<a href="` + servertest.PublicURL + "/", ">" + servertest.PublicURL + "/",
				brand.DefaultName,
			} {
				if !strings.Contains(message.HTML, part) {
					t.Errorf("%s: no %s in\n%s", kind, part, message.HTML)
				}
			}
		}

		// What arrives is what was composed.
		s.ForgotPassword(t, email)
		reset := s.NextEmail(t)
		response := s.ResetPassword(t, s.ResetToken(t, reset), "an even better horse")
		if response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		for _, arrived := range []servertest.Email{reset, s.NextEmail(t)} {
			if strings.Contains(arrived.Raw, marker) || !strings.Contains(arrived.Raw, "\nSubject: ") {
				t.Errorf("arrived:\n%s", arrived.Raw)
			}
		}
	})
}
