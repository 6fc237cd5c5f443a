package conformance

import (
	"crypto/rand"
	"net/http"
	"slices"
)

var changeEmailChecks = []check{
	{operation: "changeEmail", name: "success", run: checkChangeEmail},
	{operation: "changeEmail", name: "wrong password", run: checkChangeEmailRefuses},
	{operation: "changeEmail", name: "current email", run: checkChangeToCurrent},
}

var cancelEmailChangeChecks = []check{
	{operation: "cancelEmailChange", name: "success", run: checkCancelEmailChange},
}

var confirmEmailChangeChecks = []check{
	{operation: "confirmEmailChange", name: "wrong token", run: checkConfirmRefuses},
	{operation: "confirmEmailChange", name: "success", run: skipEmailed},
}

var undoEmailChangeChecks = []check{
	{operation: "undoEmailChange", name: "wrong token", run: checkUndoRefuses},
	{operation: "undoEmailChange", name: "success", run: skipEmailed},
}

func changeEmail(access, email, password string) call {
	return postAs(access, "/auth/change-email", "email", email, "password", password)
}

func cancelEmailChange(access string) call {
	return call{method: http.MethodDelete, path: "/auth/change-email", bearer: access}
}

// checkChangeEmail requires that a request changes nothing but the pending email.
func checkChangeEmail(s *suite) {
	access, next := s.logIn().access, s.newAccount().email
	s.expect(http.StatusAccepted, changeEmail(access, next, s.registered().password))
	r := s.expect(http.StatusOK, getAccount(access))
	s.require(r.text("pendingEmail") == next, "pendingEmail must be the new email")
	s.require(r.text("email") == s.account.email, "the email must not change before it is confirmed")
}

func checkChangeEmailRefuses(s *suite) {
	access := s.logIn().access
	s.refuse(http.StatusForbidden, "incorrect_password", changeEmail(access, s.newAccount().email, newPassword()))
}

func checkChangeToCurrent(s *suite) {
	access := s.logIn().access
	r := s.refuse(http.StatusBadRequest, "validation_failed",
		changeEmail(access, s.registered().email, s.registered().password))
	s.require(slices.Equal(r.places(), []string{"/email"}), "the validation error must name the email")
}

// checkCancelEmailChange requires that a cancellation can be repeated.
func checkCancelEmailChange(s *suite) {
	access := s.logIn().access
	s.expect(http.StatusOK, cancelEmailChange(access))
	s.expect(http.StatusOK, cancelEmailChange(access))
	r := s.expect(http.StatusOK, getAccount(access))
	s.require(r.text("pendingEmail") == "", "no email must be pending")
}

func checkConfirmRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link",
		post("/auth/confirm-email-change", "token", rand.Text(), "password", newPassword()))
}

func checkUndoRefuses(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link", post("/auth/undo-email-change", "token", rand.Text()))
}
