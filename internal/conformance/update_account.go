package conformance

import "net/http"

var updateAccountChecks = []check{
	{operation: "updateAccount", name: "success", run: checkUpdateAccount},
	{operation: "updateAccount", name: "invalid profile", run: checkUpdateRefuses},
}

func updateAccount(access, body string) call {
	return call{method: http.MethodPatch, path: "/auth/account", media: mediaJSON, body: body, bearer: access}
}

// checkUpdateAccount requires that absent properties stay, and that null removes the bio (RFC 7396).
func checkUpdateAccount(s *suite) {
	access := s.logIn().access
	for _, update := range []struct{ body, name, bio string }{
		{`{"name":"Conformance 2","bio":"A bio","email":"x@example.com"}`, "Conformance 2", "A bio"},
		{`{}`, "Conformance 2", "A bio"},
		{`{"name":"Conformance"}`, "Conformance", "A bio"},
		{`{"bio":null}`, "Conformance", ""},
	} {
		for _, request := range []call{updateAccount(access, update.body), getAccount(access)} {
			r := s.expect(http.StatusOK, request)
			s.require(r.text("name") == update.name && r.text("bio") == update.bio,
				"the name must be %q and the bio %q", update.name, update.bio)
		}
	}
}

func checkUpdateRefuses(s *suite) {
	access := s.logIn().access
	s.refuse(http.StatusBadRequest, "validation_failed", updateAccount(access, `{"name":null}`))
	s.refuse(http.StatusBadRequest, "validation_failed", updateAccount(access, `{"name":""}`))
}
