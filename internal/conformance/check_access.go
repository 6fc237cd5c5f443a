package conformance

import "net/http"

var checkAccessChecks = []check{
	{operation: "checkAccess", name: "success", run: checkAccess},
}

// checkAccess requires that the headers have the identity of the user.
func checkAccess(s *suite) {
	access := s.logIn().access
	user := s.expect(http.StatusOK, authenticate(access))
	r := s.expect(http.StatusOK, call{method: http.MethodGet, path: "/auth/check", bearer: access})
	for name, want := range map[string]string{
		"X-User-Id": user.text("userId"), "X-User-Email": s.account.email, "X-Session-Id": user.text("sessionId"),
	} {
		s.require(r.header.Get(name) == want, "%s must be that of the user", name)
	}
}
