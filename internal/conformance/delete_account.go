package conformance

import "net/http"

// deleteAccountChecks end with the deletion of the account that register has made.
var deleteAccountChecks = []check{
	{operation: "deleteAccount", name: "wrong password", run: checkDeleteRefuses},
	{operation: "deleteAccount", name: "success", run: checkDeleteAccount},
}

func deleteAccount(access, password string) call {
	return postAs(access, "/auth/delete-account", "password", password)
}

func checkDeleteRefuses(s *suite) {
	t := s.logIn()
	s.refuse(http.StatusForbidden, "incorrect_password", deleteAccount(t.access, newPassword()))
	s.refuse(http.StatusBadRequest, "validation_failed", postAs(t.access, "/auth/delete-account"))
	s.used(t)
}

// checkDeleteAccount requires that nothing of the account works afterwards.
func checkDeleteAccount(s *suite) {
	t, deleted := s.used(s.logIn()), s.registered()
	if r := s.expect(http.StatusOK, deleteAccount(t.access, deleted.password)); r.status == http.StatusOK {
		s.account, s.report.Account = account{}, "" // also after a breach
	}
	s.requireAccessEnded(t, "the account was deleted")
	s.requireRefreshEnded(t, "the account was deleted")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(deleted.email, deleted.password))
}
