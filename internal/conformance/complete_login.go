package conformance

import "net/http"

var completeLoginChecks = []check{
	{operation: "completeLogin", name: "success", run: checkCompleteLogin},
	{operation: "completeLogin", name: "wrong login token", run: checkCompleteRefuses},
	{operation: "completeLogin", name: "after a reset", run: checkCompleteAfterReset},
}

// checkCompleteLogin requires that the password alone gives access to nothing, and that the login
// token and the code work once.
func checkCompleteLogin(s *suite) {
	a := s.addApp()
	half := s.halfLogin()
	s.refuse(http.StatusUnauthorized, "invalid_access_token", authenticate(half))
	s.refuse(http.StatusUnauthorized, "invalid_refresh_token", refresh(half))
	code := a.code()
	t := tokensOf(s.expect(http.StatusOK, completeLogin(half, code)))
	s.requireMethods(t, twoFactors, "pwd", "otp", "mfa")
	s.requireMethods(s.refreshed(s.used(t)), twoFactors, "pwd", "otp", "mfa")
	s.refuse(http.StatusUnauthorized, "invalid_login_token", completeLogin(half, a.recoveryCode()))
	again := s.halfLogin()
	s.refuse(http.StatusUnauthorized, "invalid_code", completeLogin(again, code))
	s.expect(http.StatusOK, completeLogin(again, a.recoveryCode())) // also after a wrong code
}

func checkCompleteRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_login_token", completeLogin("x", "000000"))
	s.refuse(http.StatusUnauthorized, "invalid_login_token", completeLogin(s.logIn().access, "000000"))
}

// checkCompleteAfterReset requires that a reset does not replace the second factor, and ends a
// login that waits for a code.
func checkCompleteAfterReset(s *suite) {
	token := s.resetLinkToken()
	a := s.addApp()
	half := s.halfLogin()
	s.resetPassword(token)
	s.refuse(http.StatusUnauthorized, "invalid_login_token", completeLogin(half, a.recoveryCode()))
	a.keep(s.logInWith(a.recoveryCode()))
}
