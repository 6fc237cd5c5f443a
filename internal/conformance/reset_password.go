package conformance

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
)

var resetPasswordChecks = []check{
	{operation: "resetPassword", name: "success", run: checkResetPassword},
	{operation: "resetPassword", name: "wrong token", run: checkResetRefuses},
	{operation: "resetPassword", name: "no token", run: checkResetWithoutToken},
	{operation: "login", name: "after a reset", run: checkLoginAfterReset},
	{operation: "refreshTokens", name: "after a reset", run: checkRefreshAfterReset},
	{operation: "authenticate", name: "after a reset", run: checkAccessAfterReset},
}

func reset(token, password string) call {
	return post("/auth/reset-password?token="+token, "password", password)
}

// resetLinkToken returns the token of a new reset link.
func (s *suite) resetLinkToken() string {
	a := s.registered()
	if s.err != nil {
		return ""
	}
	if s.target.ResetLink == nil {
		s.skip("there is no reset link")
		return ""
	}
	link, err := s.target.ResetLink(s.ctx, a.email)
	if err != nil {
		s.err = err
		return ""
	}
	_, token, _ := strings.Cut(link, "#token=")
	return token
}

// resetPassword sets a new password of the account.
func (s *suite) resetPassword(token string) {
	chosen := newPassword()
	if r := s.expect(http.StatusOK, reset(token, chosen)); r.status == http.StatusOK {
		s.account.password = chosen // also after a breach
	}
}

// checkResetPassword requires that a reset link can be used once, also after a refused password.
func checkResetPassword(s *suite) {
	token := s.resetLinkToken()
	s.refuse(http.StatusBadRequest, "weak_password", reset(token, weakPassword))
	s.resetPassword(token)
	s.refuse(http.StatusUnauthorized, "invalid_link", reset(token, newPassword()))
}

func checkResetRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link", reset(rand.Text(), newPassword()))
}

func checkResetWithoutToken(s *suite) {
	noToken := post("/auth/reset-password", "password", newPassword())
	r := s.refuse(http.StatusBadRequest, "validation_failed", noToken)
	s.require(slices.Equal(r.places(), []string{"token"}), "the validation error must name the missing parameter")
}

func checkLoginAfterReset(s *suite) {
	s.logIn() // so that a cache could store the response
	before := s.registered()
	s.resetPassword(s.resetLinkToken())
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(before.email, before.password))
	s.logIn()
}

func checkRefreshAfterReset(s *suite) {
	before := s.logIn()
	s.resetPassword(s.resetLinkToken())
	s.requireRefreshEnded(before, "a session created before the reset")
	s.refreshed(s.logIn())
}

func checkAccessAfterReset(s *suite) {
	before := s.used(s.logIn())
	s.resetPassword(s.resetLinkToken())
	s.requireAccessEnded(before, "a session created before the reset")
}
