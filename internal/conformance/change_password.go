package conformance

import "net/http"

var changePasswordChecks = []check{
	{operation: "changePassword", name: "success", run: checkChangePassword},
	{operation: "changePassword", name: "wrong password", run: checkChangePasswordRefuses},
	{operation: "refreshTokens", name: "after a change of the password", run: checkRefreshAfterChange},
	{operation: "authenticate", name: "after a change of the password", run: checkAccessAfterChange},
}

func changePassword(access, current, next string) call {
	return postAs(access, "/auth/change-password", "currentPassword", current, "password", next)
}

// changePassword changes the password of the account, and returns the next tokens of the session.
func (s *suite) changePassword(t tokens) tokens {
	next := newPassword()
	r := s.expect(http.StatusOK, changePassword(t.access, s.registered().password, next))
	if r.status == http.StatusOK {
		s.account.password = next // also after a breach
	}
	return tokensOf(r)
}

// checkChangePassword requires that the session continues, and that only the new password logs in.
func checkChangePassword(s *suite) {
	before := s.registered()
	s.refreshed(s.used(s.changePassword(s.logIn())))
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(before.email, before.password))
	s.logIn()
}

// checkChangePasswordRefuses requires that a wrong password is not 401, on which clients refresh.
func checkChangePasswordRefuses(s *suite) {
	t := s.logIn()
	s.refuse(http.StatusForbidden, "incorrect_password", changePassword(t.access, newPassword(), newPassword()))
	s.refuse(http.StatusBadRequest, "weak_password", changePassword(t.access, s.account.password, weakPassword))
	s.refuse(http.StatusBadRequest, "validation_failed",
		postAs(t.access, "/auth/change-password", "password", newPassword()))
	s.refreshed(s.used(t))
}

func checkRefreshAfterChange(s *suite) {
	other := s.logIn()
	s.changePassword(s.logIn())
	s.requireRefreshEnded(other, "the password was changed in another session")
}

func checkAccessAfterChange(s *suite) {
	other := s.used(s.logIn())
	s.changePassword(s.logIn())
	s.requireAccessEnded(other, "the password was changed in another session")
}
