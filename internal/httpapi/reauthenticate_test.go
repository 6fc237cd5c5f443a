package httpapi_test

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// sensitive are the requests that need a recent login: always, or if the account has a second
// factor.
var sensitive = map[string]struct {
	method, path string
	members      []any
	always       bool
}{
	"enrollTOTP":               {http.MethodPost, "/auth/factors/totp", nil, true},
	"confirmTOTP":              {http.MethodPost, "/auth/factors/totp/confirm", []any{"code", "000000"}, true},
	"removeTOTP":               {http.MethodDelete, "/auth/factors/totp", nil, true},
	"renewRecoveryCodes":       {http.MethodPost, "/auth/recovery-codes", nil, true},
	"startPasskeyRegistration": {http.MethodPost, "/auth/passkey-options", nil, true},
	"finishPasskeyRegistration": {
		http.MethodPost, "/auth/passkeys", []any{"credential", json.RawMessage(anyCredential)}, true,
	},
	"deletePasskey": {http.MethodDelete, "/auth/passkeys/x", nil, true},
	"changePassword": {
		http.MethodPost, "/auth/change-password", []any{"currentPassword", "wrong", "password", newPassword}, false,
	},
	"changeEmail": {
		http.MethodPost, "/auth/change-email", []any{"email", "next@example.com", "password", "wrong"}, false,
	},
	"deleteAccount": {http.MethodPost, "/auth/delete-account", []any{"password", "wrong"}, false},
}

// challenge returns the challenge of a response if it asks for a recent login.
func challenge(response servertest.Response) string {
	if response.Code() != "insufficient_user_authentication" || response.Status != http.StatusUnauthorized {
		return ""
	}
	return response.Header.Get("WWW-Authenticate")
}

const (
	recentChallenge = `Bearer realm="sesame", error="insufficient_user_authentication", max_age="600"`
	factorChallenge = recentChallenge + `, acr_values="aal2"`
)

// Adding or removing a factor needs a recent login, also the first one. So do other sensitive
// operations of an account with a second factor. A refreshed token is not a recent login.
func TestRecentLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		plain := s.Login(t, s.NewUser(t))
		email, app, _ := newUserWithApp(t, s)
		factor, passwordOnly := s.LoginWith(t, email, app.Code(t)), plain
		for _, at := range []struct {
			offset time.Duration
			recent bool
		}{
			{0, true}, {10*time.Minute - time.Second, true}, {time.Second, false}, {time.Minute, false},
		} {
			s.Clock.Advance(at.offset)
			for id, call := range sensitive {
				response := s.As(t, passwordOnly.Access, call.method, call.path, call.members...)
				if want := call.always && !at.recent; (challenge(response) == recentChallenge) != want {
					t.Errorf("%s without a factor, recent %t: %d %s", id, at.recent, response.Status, response.Raw)
				}
				if id == "removeTOTP" && at.recent || id == "renewRecoveryCodes" && at.recent {
					continue // it would succeed
				}
				response = s.As(t, factor.Access, call.method, call.path, call.members...)
				if (challenge(response) == factorChallenge) == at.recent {
					t.Errorf("%s with a factor, recent %t: %d %s", id, at.recent, response.Status, response.Raw)
				}
			}
			plain, factor = s.Refresh(t, plain.Refresh), s.Refresh(t, factor.Refresh)
		}
		if list := s.As(t, plain.Access, http.MethodGet, "/auth/factors"); list.Status != http.StatusOK {
			t.Errorf("the access token does not work any more: %d", list.Status)
		}
	})
}

// An access token from before the factor was added proves the password only, and cannot remove it.
func TestOneFactorIsNotEnough(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		thief := s.Login(t, email)
		app := s.AddApp(t, s.Login(t, email).Access)
		for _, access := range []string{thief.Access, s.Refresh(t, thief.Refresh).Access} {
			for id, call := range sensitive {
				response := s.As(t, access, call.method, call.path, call.members...)
				if challenge(response) != factorChallenge {
					t.Errorf("%s: %d %s", id, response.Status, response.Raw)
				}
			}
		}
		s.LoginWith(t, email, app.Code(t))
	})
}

// A token that was issued while a clock was ahead is not that of a recent login.
func TestRecentLoginAfterClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		tokens := s.Login(t, s.NewUser(t))
		s.Clock.Advance(-time.Minute)
		if response := s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp"); response.Status != http.StatusOK {
			t.Errorf("a minute ahead: %d %s", response.Status, response.Raw)
		}
		s.Clock.Advance(time.Minute + time.Hour)
		tokens = s.Refresh(t, tokens.Refresh) // auth_time stays
		s.Clock.Advance(-time.Hour - 62*time.Second)
		response := s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp")
		if response.Status != http.StatusUnauthorized {
			t.Errorf("more than a minute ahead: %d %s", response.Status, response.Raw)
		}
	})
}

// Reauthenticating continues the session with a recent login. The older access token does not
// become recent, because it may be stolen.
func TestReauthenticate(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		sessions := func(access string) int {
			t.Helper()
			list, _ := listSessions(t, s, access)
			return len(list)
		}
		reauthenticate := func(access string, members ...any) servertest.Response {
			t.Helper()
			return s.As(t, access, http.MethodPost, "/auth/reauthenticate", members...)
		}
		s.Clock.Advance(11 * time.Minute)
		_, before := factorClaims(t, tokens.Access)
		next := tokensOf(t, reauthenticate(tokens.Access, "password", servertest.Password))
		if claims, at := factorClaims(t, next.Access); claims != "[pwd] aal1" || at != before+660 {
			t.Errorf("claims: %s, auth_time %d later", claims, at-before)
		}
		if again := s.Refresh(t, tokens.Refresh); again.Refresh != next.Refresh {
			t.Error("the previous refresh token does not return the same successor")
		}
		if response := s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp"); challenge(response) != recentChallenge {
			t.Errorf("the older access token: %d %s", response.Status, response.Raw)
		}
		app := s.AddApp(t, next.Access)
		next = s.Refresh(t, next.Refresh)
		for name, test := range map[string]struct {
			members []any
			status  int
			code    string
		}{
			"nothing":           {[]any{"x", 1}, 400, "validation_failed"},
			"the password only": {[]any{"password", servertest.Password}, 400, "validation_failed"},
			"the code only":     {[]any{"code", app.WrongCode()}, 400, "validation_failed"},
			"a wrong code": {[]any{"password", servertest.Password, "code", app.WrongCode()}, 403,
				"invalid_code"},
			"a wrong password, a code":     {[]any{"password", newPassword, "code", app.Code(t)}, 403, "incorrect_password"},
			"a wrong password, wrong code": {[]any{"password", newPassword, "code", app.WrongCode()}, 403, "incorrect_password"},
		} {
			if response := reauthenticate(next.Access, test.members...); response.Status != test.status ||
				response.Code() != test.code {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		s.Clock.Advance(11 * time.Minute)
		if claims, at := factorClaims(t, s.Refresh(t, next.Refresh).Access); claims != "[pwd otp mfa] aal2" ||
			at != before+660 {
			t.Errorf("after refused attempts: %s, auth_time %d later", claims, at-before)
		}
		code := app.Code(t)
		next = tokensOf(t, reauthenticate(next.Access, "password", servertest.Password, "code", code))
		if response := reauthenticate(next.Access, "password", servertest.Password, "code",
			code); response.Code() != "invalid_code" {
			t.Errorf("the code again: %d %s", response.Status, response.Raw)
		}
		if claims, at := factorClaims(t, next.Access); claims != "[pwd otp mfa] aal2" || at != before+2*660 {
			t.Errorf("claims: %s, auth_time %d later", claims, at-before)
		}
		if n := sessions(next.Access); n != 1 {
			t.Errorf("%d sessions", n)
		}
		s.RequireActive(t, next)
	})
}

// A session that has ended is not revived, whatever runs in parallel.
func TestReauthenticateRacesRevocation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		for range 5 {
			tokens, other := s.Login(t, email), s.Login(t, email)
			var proved servertest.Response
			var both sync.WaitGroup
			both.Go(func() {
				proved = s.As(t, tokens.Access, http.MethodPost, "/auth/reauthenticate", "password", servertest.Password)
			})
			both.Go(func() {
				ended := s.As(t, other.Access, http.MethodPost, "/auth/logout-everywhere", "keepCurrent", false)
				if ended.Status != http.StatusOK {
					t.Errorf("logout everywhere: %d %s", ended.Status, ended.Raw)
				}
			})
			both.Wait()
			if proved.Status == http.StatusOK {
				s.RequireEnded(t, tokensOf(t, proved))
			}
		}
		tokens := s.Login(t, email)
		s.Logout(t, tokens.Refresh)
		ended := s.As(t, tokens.Access, http.MethodPost, "/auth/reauthenticate", "password", servertest.Password)
		if ended.Code() != "invalid_access_token" {
			t.Errorf("after a logout: %d %s", ended.Status, ended.Raw)
		}
	})
}

// Factors need a verified email, unless the server verifies none.
func TestFactorsNeedAVerifiedEmail(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationOptional})
		email := s.NewUser(t)
		link := s.NextLinkToken(t, email, "verify-email")
		tokens := s.Login(t, email)
		for _, id := range []string{"enrollTOTP", "confirmTOTP", "removeTOTP", "renewRecoveryCodes",
			"startPasskeyRegistration",
			"finishPasskeyRegistration", "deletePasskey"} {
			call := sensitive[id]
			response := s.As(t, tokens.Access, call.method, call.path, call.members...)
			if response.Status != http.StatusForbidden || response.Code() != "email_not_verified" {
				t.Errorf("%s: %d %s", id, response.Status, response.Raw)
			}
		}
		s.VerifyEmail(t, link, servertest.Password)
		s.AddApp(t, tokens.Access)
	})
}

// Reauthenticating guesses no faster than logging in.
func TestReauthenticateIsLimited(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		l := newCodeLimits(t, engine)
		access := tokensOf(t, l.complete(t, ownerIP, l.half(t, ownerIP), l.app.Code(t))).Access
		call := servertest.Call{IP: ownerIP, Path: "/auth/reauthenticate", AccessToken: access}
		for guess := range 6 {
			response := call.Send(t, l.Server, "password", servertest.Password, "code", l.app.WrongCode())
			if want := map[bool]int{true: 403, false: 429}[guess < 5]; response.Status != want {
				t.Errorf("guess %d at a code: %d %s", guess+1, response.Status, response.Raw)
			}
		}
		for range 20 {
			if call.Send(t, l.Server, "password", newPassword, "code", "000000").Status == http.StatusTooManyRequests {
				return
			}
		}
		t.Error("guesses at the password are not limited")
	})
}
