package conformance

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// account is an account that the suite registers.
type account struct{ email, password string }

// newAccount returns a random email and password.
func (s *suite) newAccount() account {
	return account{email: strings.ToLower("conformance-" + rand.Text() + "@" + s.target.Domain), password: newPassword()}
}

// newPassword returns a random password. It is longer than any deployment may require
// (SESAME_MIN_PASSWORD_LENGTH).
func newPassword() string { return rand.Text() + rand.Text() + rand.Text() }

// weakPassword is as long, but a common password, repeated.
var weakPassword = strings.Repeat("password", 9)

// register returns the request that registers an account. others are members to add or replace.
func register(a account, others ...any) call {
	members := []any{"name", "Conformance", "email", a.email, "password", a.password, "confirm", a.password}
	return post("/auth/register", append(members, others...)...)
}

func login(email, password string) call {
	return post("/auth/login", "email", email, "password", password)
}

// checkRegister requires that a registration ignores unknown members and returns the email in lower
// case.
func checkRegister(s *suite) {
	s.account = s.newAccount()
	email := strings.ToUpper(s.account.email)
	r := s.expect(http.StatusCreated, register(s.account, "email", email, "id", "1", "role", "admin", "generation", 7))
	if s.err == nil {
		s.report.Account = s.account.email
	}
	s.require(r.text("user", "email") == s.account.email, "the email must be the submitted one in lower case")
	s.require(r.text("user", "name") == "Conformance", "the name must be the submitted one")
	s.require(!strings.Contains(string(r.raw), s.account.password), "the response must not contain the password")
}

// checkRegisterRefuses requires that an invalid registration returns all validation errors, without
// the submitted values, and creates no account.
func checkRegisterRefuses(s *suite) {
	other := s.newAccount()
	invalid := post("/auth/register", "bio", 1, "email", "nobody", "password", "tiny7x", "confirm", "tiny7y")
	r := s.refuse(http.StatusBadRequest, "validation_failed", invalid)
	s.require(slices.Equal(r.places(), []string{"/bio", "/confirm", "/email", "/name", "/password"}),
		"all validation errors must be returned at once")
	s.require(!strings.Contains(string(r.raw), "tiny7"), "the response must not contain submitted values")
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "confirm", other.password+"x"))
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "password", nil, "confirm", nil))
	weak := register(other, "password", weakPassword, "confirm", weakPassword)
	s.refuse(http.StatusBadRequest, "weak_password", weak)
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(other.email, other.password)) // was not created
	taken := register(account{strings.ToUpper(s.account.email), other.password})
	s.refuse(http.StatusBadRequest, "email_taken", taken)
	s.logIn() // the account is unchanged
}

// checkLogin requires that a failed login does not reveal whether the account exists, and that the
// case of the email is ignored.
func checkLogin(s *suite) {
	unknown := s.newAccount()
	wrongPassword := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, unknown.password))
	unknownEmail := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(unknown.email, unknown.password))
	s.require(alike(wrongPassword, unknownEmail), "an unknown email and a wrong password must return the same response")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password+" "))
	s.expect(http.StatusOK, login(strings.ToUpper(s.account.email), s.account.password))
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/login", "email", s.account.email, "password", nil))
}

// alike reports whether two responses have the same status, body and names of headers. It ignores
// the request id, and headers that may differ.
func alike(a, b response) bool {
	var texts [2]string
	for i, r := range []response{a, b} {
		body := make(map[string]any)
		for name, value := range r.body {
			if name != "instance" {
				body[name] = value
			}
		}
		text, err := json.Marshal(body)
		if err != nil {
			return false
		}
		header := r.header.Clone()
		for _, ignored := range []string{"X-Request-Id", "Date", "Retry-After"} {
			header.Del(ignored)
		}
		names := make([]string, 0, len(header))
		for name := range header {
			names = append(names, name)
		}
		slices.Sort(names)
		texts[i] = string(text) + strings.Join(names, " ")
	}
	return a.status == b.status && texts[0] == texts[1]
}

// checkResetPassword requires that a reset link can be used once, also after a refused password,
// and that a reset revokes all sessions.
func checkResetPassword(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_link", reset(rand.Text(), newPassword()))
	noToken := post("/auth/reset-password", "password", newPassword())
	r := s.refuse(http.StatusBadRequest, "validation_failed", noToken)
	s.require(slices.Equal(r.places(), []string{"token"}), "the validation error must name the missing parameter")
	if s.err != nil {
		return
	}
	if s.target.ResetLink == nil {
		s.note("resetPassword: a successful reset was not tested, because there is no reset link")
		return
	}
	link, err := s.target.ResetLink(s.ctx, s.account.email)
	if err != nil {
		s.err = err
		return
	}
	_, token, _ := strings.Cut(link, "#token=")
	before, chosen := s.logIn(), newPassword()
	s.refuse(http.StatusBadRequest, "weak_password", reset(token, weakPassword))
	s.expect(http.StatusOK, reset(token, chosen))
	s.refuse(http.StatusUnauthorized, "invalid_link", reset(token, newPassword()))
	s.requireEnded(before, "a session created before the reset")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password))
	s.account.password = chosen
	s.live(s.logIn())
}

func reset(token, password string) call {
	return post("/auth/reset-password?token="+token, "password", password)
}

// checkForgotPassword requires that the response does not reveal whether an account exists.
func checkForgotPassword(s *suite) {
	known := s.expect(http.StatusAccepted, post("/auth/forgot-password", "email", s.account.email))
	unknown := s.expect(http.StatusAccepted, post("/auth/forgot-password", "email", s.newAccount().email))
	s.require(alike(known, unknown), "an unknown email and a known one must return the same response")
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/forgot-password", "email", "nobody"))
}

// maxGuesses is how many wrong passwords are allowed per email and network. Earlier checks have
// used some of them.
const maxGuesses = 10

// checkLimits requires that after too many wrong passwords, the correct one is refused too.
func checkLimits(s *suite) {
	for range maxGuesses + 1 {
		if s.err != nil {
			return
		}
		if r := s.send(login(s.account.email, rand.Text())); r.status != http.StatusUnauthorized {
			s.refuse(http.StatusTooManyRequests, "too_many_requests", login(s.account.email, s.account.password))
			return
		}
	}
	s.note("rate limits: %d wrong passwords did not exceed one; SESAME_THROTTLE is off", maxGuesses+1)
}
