package servertest

import (
	"net/http"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/token"
	"github.com/sesame-auth/sesame/internal/totp"
)

// App is the authenticator app of a user.
type App struct {
	Secret        totp.Secret
	RecoveryCodes []string

	clock func() int64 // the current time step
	last  int64        // the step of the last code
}

// AddApp adds an authenticator app to the account of an access token, which must be of a recent
// login. The session continues; its next access token says that it has proved two factors.
func (s *Server) AddApp(t testing.TB, accessToken string) *App {
	t.Helper()
	app := s.EnrollApp(t, accessToken)
	confirmed := s.As(t, accessToken, http.MethodPost, "/auth/factors/totp/confirm", "code", app.Code(t))
	if confirmed.Status != http.StatusOK {
		t.Fatalf("confirm: %d %s", confirmed.Status, confirmed.Raw)
	}
	app.RecoveryCodes = confirmed.Texts("recoveryCodes")
	return app
}

// EnrollApp returns an authenticator app that is not confirmed yet.
func (s *Server) EnrollApp(t testing.TB, accessToken string) *App {
	t.Helper()
	enrolled := s.As(t, accessToken, http.MethodPost, "/auth/factors/totp")
	secret, err := totp.ParseSecret(enrolled.Text("secret"))
	if enrolled.Status != http.StatusOK || err != nil {
		t.Fatalf("enroll: %d %s, %v", enrolled.Status, enrolled.Raw, err)
	}
	return &App{Secret: secret, clock: func() int64 { return totp.Step(s.Clock.Now()) }}
}

// Code returns a code that was not returned before. The server accepts the codes of three time
// steps, so a test gets three codes without moving the clock.
func (a *App) Code(t testing.TB) string {
	t.Helper()
	now := a.clock()
	a.last = max(a.last+1, now-1)
	if a.last > now+1 {
		t.Fatal("there is no other code at this time: advance the clock")
	}
	return a.Secret.Code(a.last)
}

// WrongCode returns a code that the server does not accept.
func (a *App) WrongCode() string {
	now := a.clock()
	for step := now + 10; ; step++ {
		code := a.Secret.Code(step)
		if code != a.Secret.Code(now-1) && code != a.Secret.Code(now) && code != a.Secret.Code(now+1) &&
			code != a.Secret.Code(now+2) {
			return code
		}
	}
}

// LoginToken logs in with Password, which must return second_factor_required.
func (s *Server) LoginToken(t testing.TB, email string) string {
	t.Helper()
	response := s.Post(t, "/auth/login", "email", email, "password", Password)
	if response.Status != http.StatusUnauthorized || response.Code() != "second_factor_required" {
		t.Fatalf("login: %d %s", response.Status, response.Raw)
	}
	return response.Text("loginToken")
}

// UnknownLoginToken returns an authentic login token of a user who does not exist.
func UnknownLoginToken() string {
	challenges := token.NewChallenges([]secret.Secret{Secret}, time.Now)
	return challenges.NewText("login", []byte(`{"user":"01980a5e-2b1c-7d00-9c3e-5a1f0e6b7c21"}`))
}

// CompleteLogin completes a login with a code.
func (s *Server) CompleteLogin(t testing.TB, loginToken, code string) Response {
	t.Helper()
	return s.Post(t, "/auth/login/second-factor", "loginToken", loginToken, "code", code)
}

// LoginWithPassword is like LoginWith, with another password.
func (s *Server) LoginWithPassword(t testing.TB, email, password, code string) Tokens {
	t.Helper()
	half := s.Post(t, "/auth/login", "email", email, "password", password)
	return s.tokens(t, s.CompleteLogin(t, half.Text("loginToken"), code))
}

// LoginWith logs in with Password and a code. It must succeed.
func (s *Server) LoginWith(t testing.TB, email, code string) Tokens {
	t.Helper()
	return s.tokens(t, s.CompleteLogin(t, s.LoginToken(t, email), code))
}
