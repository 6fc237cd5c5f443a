package httpapi_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/token"
)

// What names nobody does not name the first row: not an empty email or token, no null, no authentic token of
// zeros, which is what a query without its condition would take for anybody.
func TestEmptyCredentials(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		live := s.Login(t, email)
		s.Forgot(t, email)
		resetToken := s.ResetToken(t, s.NextEmail(t))
		for _, email := range []string{`""`, `" "`, `"%"`, `null`, `0`, `[]`, `{}`} {
			for _, password := range []string{fmt.Sprintf("%q", servertest.Password), `""`, `null`, `"null"`, `[]`, `{}`} {
				response := s.Do(t, http.MethodPost, "/auth/login", fmt.Sprintf(`{"email":%s,"password":%s}`, email, password), "Content-Type", asJSON)
				if response.Status != http.StatusBadRequest && response.Status != http.StatusUnauthorized {
					t.Errorf("login %s, %s: %d", email, password, response.Status)
				}
			}
		}
		for _, password := range []string{`""`, `null`, `"null"`, `[]`, `{}`, `[` + fmt.Sprintf("%q", servertest.Password) + `]`} {
			response := s.Do(t, http.MethodPost, "/auth/login", fmt.Sprintf(`{"email":%q,"password":%s}`, email, password), "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest && response.Status != http.StatusUnauthorized {
				t.Errorf("login with the password %s: %d", password, response.Status)
			}
		}
		codec := token.NewRefreshCodec([]secret.Secret{servertest.Secret})
		for _, counter := range []int64{0, 1} {
			zeros := codec.Encode(token.Refresh{Session: uuid.Nil, Counter: counter})
			if response := s.TryRefresh(t, zeros); response.Status != http.StatusUnauthorized {
				t.Errorf("a refresh token of zeros: %d", response.Status)
			}
			if response := s.Logout(t, zeros); response.Status != http.StatusOK { // authentic, and nothing to end
				t.Errorf("a logout with zeros: %d", response.Status)
			}
		}
		issuer := token.NewAccessTokens(token.AccessConfig{
			Keys: s.Keys, Issuer: servertest.PublicURL, Audience: servertest.PublicURL, Lifetime: 15 * time.Minute, Now: s.Clock.Now,
		})
		zeros, err := issuer.Issue(uuid.Nil, uuid.Nil, s.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if response := s.Authenticate(t, zeros); response.Status != http.StatusUnauthorized {
			t.Errorf("an access token of zeros: %d", response.Status)
		}
		for _, path := range []string{"/auth/reset-password", "/auth/reset-password?token=", "/auth/reset-password?token=%20"} {
			response := s.Do(t, http.MethodPost, path, `{"password":"an even better horse"}`, "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest && response.Status != http.StatusUnauthorized {
				t.Errorf("%s: %d", path, response.Status)
			}
		}
		s.ExpectLive(t, live)
		var sessions int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Count(&sessions).Error; err != nil || sessions != 1 {
			t.Errorf("%d sessions, %v", sessions, err)
		}
		if response := s.Reset(t, resetToken, "an even better horse"); response.Status != http.StatusOK {
			t.Errorf("the token was used up: %d", response.Status)
		}
	})
}
