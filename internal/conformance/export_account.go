package conformance

import (
	"net/http"
	"strings"
)

var exportAccountChecks = []check{
	{operation: "exportAccount", name: "success", run: checkExportAccount},
}

func checkExportAccount(s *suite) {
	t := s.logIn()
	r := s.expect(http.StatusOK, call{method: http.MethodGet, path: "/auth/account/export", bearer: t.access})
	s.require(r.text("account", "email") == s.account.email, "the export must be that of the user who logged in")
	for _, secret := range []string{s.account.password, t.refresh, "argon2"} {
		s.require(!strings.Contains(string(r.raw), secret), "the export must not contain secrets")
	}
}
