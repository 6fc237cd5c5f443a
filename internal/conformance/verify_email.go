package conformance

import (
	"crypto/rand"
	"net/http"
)

var sendVerificationEmailChecks = []check{
	{operation: "sendVerificationEmail", name: "success", run: checkSendVerification},
	{operation: "sendVerificationEmail", name: "same response for every email", run: checkSendVerificationAlike},
	{operation: "sendVerificationEmail", name: "invalid email", run: checkSendVerificationRefuses},
}

var verifyEmailChecks = []check{
	{operation: "verifyEmail", name: "wrong token", run: checkVerifyEmailRefuses},
	{operation: "verifyEmail", name: "token of a reset link", run: checkVerifyEmailPurpose},
	{operation: "verifyEmail", name: "success", run: skipEmailed},
}

func sendVerification(email string) call {
	return post("/auth/send-verification-email", "email", email)
}

func verifyEmail(token, password string) call {
	return post("/auth/verify-email", "token", token, "password", password)
}

func checkSendVerification(s *suite) {
	s.expect(http.StatusAccepted, sendVerification(s.newAccount().email))
}

func checkSendVerificationAlike(s *suite) {
	known := s.expect(http.StatusAccepted, sendVerification(s.registered().email))
	unknown := s.expect(http.StatusAccepted, sendVerification(s.newAccount().email))
	s.require(alike(known, unknown), "an unknown email and a known one must return the same response")
}

func checkSendVerificationRefuses(s *suite) {
	s.refuse(http.StatusBadRequest, "validation_failed", sendVerification("nobody"))
}

func checkVerifyEmailRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link", verifyEmail(rand.Text(), newPassword()))
}

// checkVerifyEmailPurpose requires that a token is worth nothing for another purpose.
func checkVerifyEmailPurpose(s *suite) {
	token := s.resetLinkToken()
	s.refuse(http.StatusUnauthorized, "invalid_link", verifyEmail(token, s.registered().password))
}

// skipEmailed skips a check that needs the token of an email.
func skipEmailed(s *suite) { s.skip("the run cannot read the email with the link") }
