package conformance

import (
	"net/http"
	"slices"
	"strings"
)

var registerChecks = []check{
	{operation: "register", name: "success", run: checkRegister},
	{operation: "register", name: "validation errors", run: checkRegisterErrors},
	{operation: "register", name: "weak password", run: checkRegisterWeak},
	{operation: "register", name: "registered email", run: checkRegisterTaken},
}

// register returns the request that registers an account. others are members to add or replace.
func register(a account, others ...any) call {
	members := []any{"name", "Conformance", "email", a.email, "password", a.password, "confirm", a.password}
	return post("/auth/register", append(members, others...)...)
}

// checkRegister requires that a registration ignores unknown members and returns the email in lower
// case.
func checkRegister(s *suite) {
	a := s.newAccount()
	email := strings.ToUpper(a.email)
	r := s.expect(http.StatusCreated, register(a, "email", email, "id", "1", "role", "admin", "generation", 7))
	if r.status == http.StatusCreated {
		s.account, s.report.Account = a, a.email // also after a breach: the account exists
	}
	s.require(r.text("user", "email") == a.email, "the email must be the submitted one in lower case")
	s.require(r.text("user", "name") == "Conformance", "the name must be the submitted one")
	s.require(!strings.Contains(string(r.raw), a.password), "the response must not contain the password")
}

// checkRegisterErrors requires that an invalid registration returns all validation errors, without
// the submitted values.
func checkRegisterErrors(s *suite) {
	other := s.newAccount()
	invalid := post("/auth/register", "bio", 1, "email", "nobody", "password", "tiny7x", "confirm", "tiny7y")
	r := s.refuse(http.StatusBadRequest, "validation_failed", invalid)
	s.require(slices.Equal(r.places(), []string{"/bio", "/confirm", "/email", "/name", "/password"}),
		"all validation errors must be returned at once")
	s.require(!strings.Contains(string(r.raw), "tiny7"), "the response must not contain submitted values")
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "confirm", other.password+"x"))
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "password", nil, "confirm", nil))
}

func checkRegisterWeak(s *suite) {
	weak := register(s.newAccount(), "password", weakPassword, "confirm", weakPassword)
	s.refuse(http.StatusBadRequest, "weak_password", weak)
}

func checkRegisterTaken(s *suite) {
	taken := register(account{strings.ToUpper(s.registered().email), newPassword()})
	r := s.afterLimit(s.send(taken), taken)
	if r.status == http.StatusCreated {
		s.needAccount("a registered email can be registered again (SESAME_REGISTRATION=private)")
	}
	s.require(r.status == http.StatusBadRequest && r.text("code") == "email_taken",
		"a registered email must be refused with the code email_taken")
}
