package conformance

import (
	"crypto/rand"
	"net/http"
)

var checkEmailLinkChecks = []check{
	{operation: "checkEmailLink", name: "wrong token", run: checkLinkRefuses},
	{operation: "checkEmailLink", name: "success", run: checkLink},
}

func emailLink(token string) call { return post("/auth/check-email-link", "token", token) }

func checkLinkRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link", emailLink(rand.Text()))
}

// checkLink requires that checking a link does not use it up.
func checkLink(s *suite) {
	token := s.resetLinkToken()
	for range 2 {
		r := s.expect(http.StatusOK, emailLink(token))
		s.require(r.text("purpose") == "reset-password", "the purpose must be reset-password")
	}
	s.resetPassword(token)
	s.refuse(http.StatusUnauthorized, "invalid_link", emailLink(token))
}
