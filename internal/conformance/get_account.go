package conformance

import "net/http"

var getAccountChecks = []check{
	{operation: "getAccount", name: "success", run: checkGetAccount},
}

func getAccount(access string) call {
	return call{method: http.MethodGet, path: "/auth/account", bearer: access}
}

func checkGetAccount(s *suite) {
	access := s.logIn().access
	id := s.expect(http.StatusOK, authenticate(access)).text("userId")
	r := s.expect(http.StatusOK, getAccount(access))
	s.require(r.text("email") == s.account.email, "the account must be that of the user who logged in")
	s.require(r.text("id") == id, "the id must be the userId of authenticate")
}
