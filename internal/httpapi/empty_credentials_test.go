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

// Empty, null and zero values select no user or session: not even a correctly signed token with
// zero ids. A query without its condition would select the first row.
func TestEmptyCredentials(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		live := s.Login(t, email)
		s.ForgotPassword(t, email)
		resetToken := s.ResetToken(t, s.NextEmail(t))
		expectRefused := func(path, body string) {
			t.Helper()
			response := s.Do(t, http.MethodPost, path, body, "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest && response.Status != http.StatusUnauthorized {
				t.Errorf("%s with %s: %d", path, body, response.Status)
			}
		}
		quotedPassword := fmt.Sprintf("%q", servertest.Password)
		for _, empty := range []string{`""`, `" "`, `"%"`, `null`, `0`, `[]`, `{}`} {
			for _, password := range []string{quotedPassword, `""`, `null`, `"null"`, `[]`, `{}`} {
				expectRefused("/auth/login", fmt.Sprintf(`{"email":%s,"password":%s}`, empty, password))
			}
		}
		for _, empty := range []string{`""`, `null`, `"null"`, `[]`, `{}`, `[` + quotedPassword + `]`} {
			expectRefused("/auth/login", fmt.Sprintf(`{"email":%q,"password":%s}`, email, empty))
		}
		codec := token.NewRefreshCodec([]secret.Secret{servertest.Secret})
		for _, counter := range []int64{0, 1} {
			zeros := codec.Encode(token.Refresh{Session: uuid.Nil, Counter: counter})
			if response := s.TryRefresh(t, zeros); response.Status != http.StatusUnauthorized {
				t.Errorf("a refresh token with a zero session: %d", response.Status)
			}
			if response := s.Logout(t, zeros); response.Status != http.StatusOK { // valid, but there is no session
				t.Errorf("a logout with a zero session: %d", response.Status)
			}
		}
		issuer := token.NewAccessTokens(token.AccessConfig{
			Keys:     s.Keys,
			Issuer:   servertest.PublicURL,
			Audience: servertest.PublicURL,
			Lifetime: 15 * time.Minute,
			Now:      s.Clock.Now,
		})
		zeros, err := issuer.Issue(token.Access{AuthTime: s.Clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if response := s.Authenticate(t, zeros); response.Status != http.StatusUnauthorized {
			t.Errorf("an access token with a zero user and session: %d", response.Status)
		}
		for _, query := range []string{"", "?token=", "?token=%20"} {
			expectRefused("/auth/reset-password"+query, `{"password":"an even better horse"}`)
		}
		s.RequireActive(t, live)
		var sessions int64
		if err := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Count(&sessions).Error; err != nil || sessions != 1 {
			t.Errorf("%d sessions, %v", sessions, err)
		}
		if response := s.ResetPassword(t, resetToken, "an even better horse"); response.Status != http.StatusOK {
			t.Errorf("the reset token was used up: %d", response.Status)
		}
	})
}
