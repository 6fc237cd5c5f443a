package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Anyone can register an account with someone else's email. What they enter could be a scam, so no
// email that the server can send contains it. Every email looks like the brand, and has a button
// and the same link as text.
func TestEmailsContainNoUserText(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOptional})
		const marker, email = "evil.example", "ada@example.com"
		registered := s.Post(t, "/auth/register", "name", "You won at "+marker, "bio", "Visit "+marker,
			"email", email, "password", servertest.Password, "confirm", servertest.Password)
		if registered.Status != http.StatusCreated {
			t.Fatalf("register: %d %s", registered.Status, registered.Raw)
		}
		entries := emailEntries(t, s, email)
		for kind, compose := range s.Auth.Emails() {
			entry := entries[kind]
			if entry == nil {
				entry = &mail.Entry{Email: email}
			}
			message, err := compose(t.Context(), entry)
			if kind == "none" && message == nil && err == nil {
				continue
			}
			if err != nil || message == nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if message.To != entry.Email {
				t.Errorf("%s goes to %s", kind, message.To)
			}
			for part, text := range map[string]string{
				"subject": message.Subject, "text": message.Text, "HTML": message.HTML,
			} {
				if text == "" || strings.Contains(text, marker) || strings.Contains(text, "You won") {
					t.Errorf("%s: %s:\n%s", kind, part, text)
				}
			}
			if kind == "account-deleted" || kind == "email-changed-for-good" {
				continue // they have no link
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
		s.NextEmail(t) // of the registration
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

// emailEntries makes a user for whom there is something to send, and returns the entries of emails that
// are about more than an email.
func emailEntries(t *testing.T, s *servertest.Server, email string) map[mail.Kind]*mail.Entry {
	t.Helper()
	user, err := s.Auth.FindUser(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	const next = "next@example.com"
	expires := s.Clock.Now().Add(time.Hour)
	db := s.DB.WithContext(t.Context())
	err = errors.Join(
		db.Create(&auth.OneTimeToken{
			UserID: user.ID, Purpose: auth.PurposeConfirmEmailChange, Email: next, Digest: []byte("x"), ExpiresAt: expires,
		}).Error,
		db.Create(&auth.PreviousEmail{UserID: user.ID, Email: email, Digest: []byte("y"), ExpiresAt: expires}).Error,
	)
	if err != nil {
		t.Fatal(err)
	}
	return map[mail.Kind]*mail.Entry{
		"confirm-email-change": {Email: next, UserID: user.ID},
		"email-changed":        {Email: email, UserID: user.ID},
	}
}
