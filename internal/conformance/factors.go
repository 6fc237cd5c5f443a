package conformance

import (
	"net/http"
	"slices"
	"strings"
)

var listFactorsChecks = []check{
	{operation: "listFactors", name: "success", run: checkListFactors},
}

var enrollTOTPChecks = []check{
	{operation: "enrollTOTP", name: "success", run: checkEnroll},
}

var confirmTOTPChecks = []check{
	{operation: "confirmTOTP", name: "success", run: checkConfirm},
	{operation: "confirmTOTP", name: "wrong code", run: checkConfirmCode},
}

var renewRecoveryCodesChecks = []check{
	{operation: "renewRecoveryCodes", name: "success", run: checkRecoveryCodes},
}

var removeTOTPChecks = []check{
	{operation: "removeTOTP", name: "success", run: checkRemove},
}

func listFactors(access string) call {
	return call{method: http.MethodGet, path: "/auth/factors", bearer: access}
}

func renewRecoveryCodes(access string) call {
	return call{method: http.MethodPost, path: "/auth/recovery-codes", bearer: access}
}

// requireFactors requires the types of the second factors and the number of recovery codes.
func (s *suite) requireFactors(t tokens, codes int, types ...string) {
	r := s.expect(http.StatusOK, listFactors(t.access))
	var got []string
	list, _ := r.body["factors"].([]any)
	for _, entry := range list {
		factor, _ := entry.(map[string]any)
		name, _ := factor["type"].(string)
		got = append(got, name)
	}
	s.require(slices.Equal(got, types), "the second factors must be %q", types)
	left, _ := r.body["recoveryCodesLeft"].(float64)
	s.require(int(left) == codes, "recoveryCodesLeft must be %d", codes)
}

func checkListFactors(s *suite) { s.requireFactors(s.logIn(), 0) }

// checkEnroll requires that nothing changes before the app is confirmed.
func checkEnroll(s *suite) {
	a := s.enrollApp()
	again := s.expect(http.StatusOK, enrollTOTP(a.tokens.access)).text("secret")
	s.require(again != a.secret, "each secret must be a new one")
	t := s.logIn()
	s.requireMethods(t, oneFactor, "pwd")
	s.requireFactors(t, 0)
}

// checkConfirm requires that there is one app at most. It uses a code that works, so that only the
// existing app is a reason to refuse it.
func checkConfirm(s *suite) {
	a := s.addApp()
	s.requireFactors(a.tokens, 10, "totp")
	s.refuse(http.StatusConflict, "factor_exists", enrollTOTP(a.tokens.access))
	s.refuse(http.StatusConflict, "factor_exists", confirmTOTP(a.tokens.access, a.code()))
}

// checkConfirmCode requires that a wrong code adds no app, and is not 401, on which clients
// refresh.
func checkConfirmCode(s *suite) {
	a := s.enrollApp()
	s.refuse(http.StatusForbidden, "invalid_code", confirmTOTP(a.tokens.access, a.wrongCode()))
	s.requireFactors(s.logIn(), 0)
}

// checkRecoveryCodes requires that new recovery codes replace the old ones, and that they work
// however they are typed.
func checkRecoveryCodes(s *suite) {
	a := s.addApp()
	old := app{recovery: a.recovery}
	a.recovery = s.recoveryCodes(s.expect(http.StatusOK, renewRecoveryCodes(a.tokens.access)))
	for _, code := range old.recovery {
		s.require(!slices.Contains(a.recovery, code), "the recovery codes must be new")
	}
	half := s.halfLogin()
	s.refuse(http.StatusUnauthorized, "invalid_code", completeLogin(half, old.recoveryCode()))
	typed := strings.ToUpper(strings.ReplaceAll(a.recoveryCode(), "-", " "))
	t := tokensOf(s.expect(http.StatusOK, completeLogin(half, typed)))
	s.requireMethods(t, twoFactors, "pwd", "mfa")
	s.requireFactors(t, 9, "totp")
}

// checkRemove requires that the password is enough again, also in the claims of other sessions.
func checkRemove(s *suite) {
	a := s.addApp()
	other := s.logInWith(a.recoveryCode())
	s.expect(http.StatusOK, removeTOTP(a.tokens.access))
	t := s.logIn()
	s.requireMethods(t, oneFactor, "pwd")
	s.requireMethods(s.refreshed(other), oneFactor, "pwd")
	s.requireFactors(t, 0)
	s.refuse(http.StatusNotFound, "not_found", renewRecoveryCodes(t.access))
	if r := s.refuse(http.StatusNotFound, "not_found", removeTOTP(t.access)); r.status == http.StatusNotFound {
		s.app = nil
	}
}
