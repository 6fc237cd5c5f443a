package conformance

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

func enrollTOTP(access string) call {
	return call{method: http.MethodPost, path: "/auth/factors/totp", bearer: access}
}

func removeTOTP(access string) call {
	return call{method: http.MethodDelete, path: "/auth/factors/totp", bearer: access}
}

func confirmTOTP(access, code string) call {
	return postAs(access, "/auth/factors/totp/confirm", "code", code)
}

func completeLogin(loginToken, code string) call {
	return post("/auth/login/second-factor", "loginToken", loginToken, "code", code)
}

// needs skips the check if one of these operations cannot be called. Checks that change the account
// call it before, because these operations undo the change.
func (s *suite) needs(operations ...string) {
	for _, operation := range operations {
		if reason, unusable := s.unusable[operation]; unusable {
			s.skip("%s", reason)
		}
	}
}

// serverTime returns the time of the last response. The clock of this machine may differ.
func (s *suite) serverTime() time.Time {
	if s.lastResponse != nil {
		if at, err := http.ParseTime(s.lastResponse.header.Get("Date")); err == nil {
			return at
		}
	}
	return s.now()
}

// enrollApp returns an authenticator app that is not confirmed yet. It is removed after the check.
func (s *suite) enrollApp() *app {
	s.needs("confirmTOTP", "refreshTokens", "removeTOTP")
	a := &app{tokens: s.logIn(), clock: s.serverTime}
	r := s.expect(http.StatusOK, enrollTOTP(a.tokens.access))
	if r.status == http.StatusOK {
		s.app = a // also after a breach
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(r.text("secret"))
	a.secret, a.key = r.text("secret"), key
	s.require(err == nil && len(key) >= 16, "the secret must be base32 of at least 128 bits")
	uri := r.text("uri")
	s.require(strings.HasPrefix(uri, "otpauth://totp/") && strings.Contains(uri, "secret="+a.secret),
		"the URI must contain the secret")
	return a
}

// addApp adds an authenticator app. It is removed after the check.
func (s *suite) addApp() *app {
	a := s.enrollApp()
	r := s.expect(http.StatusOK, confirmTOTP(a.tokens.access, a.code()))
	a.recovery = s.recoveryCodes(r)
	a.keep(s.refreshed(a.tokens))
	s.requireMethods(a.tokens, twoFactors, "pwd", "otp", "mfa")
	return a
}

// recoveryCodes returns the codes in a response.
func (s *suite) recoveryCodes(r response) []string {
	codes := r.texts("recoveryCodes")
	distinct := slices.Compact(slices.Sorted(slices.Values(codes)))
	s.require(len(codes) == 10 && len(distinct) == 10, "there must be ten different recovery codes")
	return codes
}

// halfLogin logs in an account with an authenticator app by password, and returns the login token.
func (s *suite) halfLogin() string {
	a := s.registered()
	r := s.refuse(http.StatusUnauthorized, "second_factor_required", login(a.email, a.password))
	s.require(r.text("loginToken") != "", "there must be a login token")
	s.require(slices.Equal(r.texts("factors"), []string{"totp", "recovery_code"}),
		"the factors must be totp and recovery_code")
	return r.text("loginToken")
}

// logInWith logs in with the password and a code.
func (s *suite) logInWith(code string) tokens {
	return tokensOf(s.expect(http.StatusOK, completeLogin(s.halfLogin(), code)))
}

// The claim acr of an access token.
const (
	oneFactor  = "aal1"
	twoFactors = "aal2"
)

// claims are those of an access token about the proof of the identity.
type claims struct {
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
}

// claimsOf returns the claims of an access token without verifying it.
func claimsOf(t tokens) (c claims) {
	if parts := strings.Split(t.access, "."); len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1]) // an invalid token has no claims
		_ = json.Unmarshal(payload, &c)
	}
	return c
}

// requireMethods requires that an access token says how the user has proved the identity.
func (s *suite) requireMethods(t tokens, acr string, amr ...string) {
	c := claimsOf(t)
	slices.Sort(c.AMR)
	slices.Sort(amr)
	s.require(c.ACR == acr && slices.Equal(c.AMR, amr) && c.AuthTime > 0,
		"the access token must have the claims acr %q, amr %q and auth_time", acr, amr)
}

// cleanUpTimeout limits how long a run takes to undo a change, also if it is canceled.
const cleanUpTimeout = 10 * time.Second

// cleanUp undoes a change of the account with its own context and error. An error of the check
// stays.
func (s *suite) cleanUp(undo func()) {
	before, of := s.ctx, s.err
	ctx, cancel := context.WithTimeout(context.WithoutCancel(before), cleanUpTimeout)
	defer cancel()
	s.ctx, s.err = ctx, nil
	undo()
	if s.ctx = before; of != nil {
		s.err = of
	}
}

// removeApp removes the authenticator app of the check if there is one, whatever has failed: later
// checks log in with the password only. Without success, it makes login unusable.
func (s *suite) removeApp() {
	a := s.app
	if s.app = nil; a == nil {
		return
	}
	r := s.expect(http.StatusOK, removeTOTP(a.tokens.access))
	failed := s.err
	for _, renew := range []func() tokens{
		func() tokens { return s.refreshed(a.tokens) },
		func() tokens { return s.logInWith(a.recoveryCode()) },
		func() tokens { return s.logIn() },
	} {
		if r.status == http.StatusOK || r.status == http.StatusNotFound {
			break
		}
		s.err = nil
		r = s.send(removeTOTP(renew().access))
	}
	if s.err = failed; r.status != http.StatusOK && r.status != http.StatusNotFound {
		s.unusable["login"] = "the authenticator app of a check could not be removed"
	}
}
