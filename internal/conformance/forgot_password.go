package conformance

import "net/http"

var forgotPasswordChecks = []check{
	{operation: "forgotPassword", name: "success", run: checkForgotPassword},
	{operation: "forgotPassword", name: "same response for every email", run: checkForgotAlike},
	{operation: "forgotPassword", name: "invalid email", run: checkForgotRefuses},
}

func forgot(email string) call { return post("/auth/forgot-password", "email", email) }

func checkForgotPassword(s *suite) { s.expect(http.StatusAccepted, forgot(s.newAccount().email)) }

// checkForgotAlike requires that the response does not reveal whether an account exists.
func checkForgotAlike(s *suite) {
	known := s.expect(http.StatusAccepted, forgot(s.registered().email))
	unknown := s.expect(http.StatusAccepted, forgot(s.newAccount().email))
	s.require(alike(known, unknown), "an unknown email and a known one must return the same response")
}

func checkForgotRefuses(s *suite) {
	s.refuse(http.StatusBadRequest, "validation_failed", forgot("nobody"))
}
