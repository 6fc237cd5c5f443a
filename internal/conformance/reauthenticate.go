package conformance

import (
	"net/http"
	"slices"
	"strings"
)

var reauthenticateChecks = []check{
	{operation: "reauthenticate", name: "success", run: checkReauthenticate},
	{operation: "reauthenticate", name: "wrong password", run: checkReauthenticateRefuses},
	{operation: "reauthenticate", name: "with a second factor", run: checkReauthenticateWithCode},
	{operation: "reauthenticate", name: "after only the password", run: checkStepUp},
}

func reauthenticate(access string, members ...any) call {
	return postAs(access, "/auth/reauthenticate", members...)
}

// checkReauthenticate requires that the session continues with new tokens.
func checkReauthenticate(s *suite) {
	t := s.logIn()
	next := tokensOf(s.expect(http.StatusOK, reauthenticate(t.access, "password", s.registered().password)))
	s.requireMethods(next, oneFactor, "pwd")
	s.require(next.refresh != t.refresh, "there must be a new refresh token")
	s.require(claimsOf(next).AuthTime >= claimsOf(t).AuthTime, "auth_time must not go back")
	s.require(s.sessionID(next) == s.sessionID(t), "the session must be the same")
	s.refreshed(next)
}

// checkReauthenticateRefuses requires that a wrong password is not 401, on which clients refresh.
func checkReauthenticateRefuses(s *suite) {
	t := s.logIn()
	s.refuse(http.StatusForbidden, "incorrect_password", reauthenticate(t.access, "password", newPassword()))
	s.refreshed(s.used(t))
}

// checkReauthenticateWithCode requires a code if the account has a second factor, and that a
// recovery code of a login does not work again.
func checkReauthenticateWithCode(s *suite) {
	a, password := s.addApp(), s.registered().password
	code := a.recoveryCode()
	a.keep(s.logInWith(code))
	r := s.refuse(http.StatusBadRequest, "validation_failed", reauthenticate(a.tokens.access, "password", password))
	s.require(slices.Equal(r.places(), []string{"/code"}), "the validation error must name the code")
	s.refuse(http.StatusForbidden, "invalid_code", reauthenticate(a.tokens.access, "password", password, "code", code))
	code = a.code()
	a.keep(tokensOf(s.expect(http.StatusOK, reauthenticate(a.tokens.access, "password", password, "code", code))))
	s.requireMethods(a.tokens, twoFactors, "pwd", "otp", "mfa")
	s.used(a.tokens)
}

// sensitive returns the requests that need a proof of the second factor if the account has one. If
// the server has no such rule, they change nothing but the authenticator app of the check.
func (s *suite) sensitive(access string) []call {
	calls := []call{
		enrollTOTP(access), confirmTOTP(access, "000000"), removeTOTP(access), renewRecoveryCodes(access),
		startPasskey(access), deletePasskey(access, unknownID),
		finishPasskey(access, s.passkeyName, newAuthenticator("").create(response{})),
		changePassword(access, newPassword(), newPassword()),
		changeEmail(access, s.newAccount().email, newPassword()),
		deleteAccount(access, newPassword()),
	}
	return slices.DeleteFunc(calls, func(c call) bool {
		return s.unusable[s.contract.OperationAt(c.method, c.path)] != ""
	})
}

// checkStepUp requires that an access token from before the app was added cannot change the
// account, and that the challenge says what is missing (RFC 9470, section 3).
func checkStepUp(s *suite) {
	before := s.logIn()
	s.addApp()
	for _, t := range []tokens{before, s.refreshed(before)} {
		for _, c := range s.sensitive(t.access) {
			r := s.refuse(http.StatusUnauthorized, "insufficient_user_authentication", c)
			challenge := r.header.Get("WWW-Authenticate")
			for _, want := range []string{
				"Bearer ", `error="insufficient_user_authentication"`, `max_age="600"`, `acr_values="aal2"`,
			} {
				s.require(strings.Contains(challenge, want), "the challenge must contain %s", want)
			}
		}
	}
	s.used(before)
}
