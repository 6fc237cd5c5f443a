package conformance

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// account is a user that the suite registers.
type account struct{ email, password string }

// newAccount returns a random email and password.
func (s *suite) newAccount() account {
	return account{email: strings.ToLower("conformance-" + rand.Text() + "@" + s.target.Domain), password: rand.Text()}
}

// register returns the request that registers an account, with other members added or replaced.
func register(a account, others ...any) call {
	return post("/auth/register", append([]any{"name", "Conformance", "email", a.email, "password", a.password, "confirm", a.password}, others...)...)
}

func login(email, password string) call {
	return post("/auth/login", "email", email, "password", password)
}

// checkRegister requires that unknown members are ignored, and that the email is returned in lower case.
func checkRegister(s *suite) {
	s.account = s.newAccount()
	a := s.expect(http.StatusCreated, register(s.account, "email", strings.ToUpper(s.account.email), "id", "1", "role", "admin", "generation", 7))
	if s.err == nil {
		s.report.Account = s.account.email
	}
	s.require(a.text("user", "email") == s.account.email, "the email must be the submitted one in lower case")
	s.require(a.text("user", "name") == "Conformance", "the name must be the submitted one")
	s.require(!strings.Contains(string(a.raw), s.account.password), "the response must not contain the password")
}

// checkRegisterRefuses requires that an invalid registration returns all validation errors, without the submitted values,
// and creates no account.
func checkRegisterRefuses(s *suite) {
	other := s.newAccount()
	a := s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/register", "bio", 1, "email", "nobody", "password", "tiny7x", "confirm", "tiny7y"))
	s.require(slices.Equal(a.places(), []string{"/bio", "/confirm", "/email", "/name", "/password"}), "all validation errors must be returned at once")
	s.require(!strings.Contains(string(a.raw), "tiny7"), "the response must not contain submitted values")
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "confirm", other.password+"x"))
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "password", nil, "confirm", nil))
	s.refuse(http.StatusBadRequest, "weak_password", register(other, "password", "password123", "confirm", "password123"))
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(other.email, other.password)) // it does not exist
	s.refuse(http.StatusBadRequest, "email_taken", register(account{strings.ToUpper(s.account.email), other.password}))
	s.logIn() // the account is unchanged
}

// checkLogin requires that refusals do not reveal whether an account exists, and that the case of an email is ignored.
func checkLogin(s *suite) {
	unknown := s.newAccount()
	wrong := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, unknown.password))
	nobody := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(unknown.email, unknown.password))
	s.require(alike(wrong, nobody), "an unknown email and a wrong password must return the same response")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password+" "))
	s.expect(http.StatusOK, login(strings.ToUpper(s.account.email), s.account.password))
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/login", "email", s.account.email, "password", nil))
}

// alike reports whether two responses have the same status, body and names of headers, apart from the request id.
func alike(a, b response) bool {
	var texts [2]string
	for i, one := range []response{a, b} {
		body := make(map[string]any)
		for name, value := range one.body {
			if name != "instance" {
				body[name] = value
			}
		}
		text, err := json.Marshal(body)
		if err != nil {
			return false
		}
		header := one.header.Clone()
		for _, own := range []string{"X-Request-Id", "Date", "Retry-After"} {
			header.Del(own)
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

// checkResetPassword requires that a reset link works once, also after a refused password, and ends all sessions.
func checkResetPassword(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_reset_token", reset(rand.Text(), rand.Text()))
	a := s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/reset-password", "password", rand.Text()))
	s.require(slices.Equal(a.places(), []string{"token"}), "the validation error must name the missing parameter")
	if s.err != nil {
		return
	}
	if s.target.ResetLink == nil {
		s.report.Notes = append(s.report.Notes, "resetPassword: a successful reset was not tested, because there is no reset link")
		return
	}
	link, err := s.target.ResetLink(s.ctx, s.account.email)
	if err != nil {
		s.err = err
		return
	}
	_, token, _ := strings.Cut(link, "#token=")
	before, next := s.logIn(), rand.Text()
	s.refuse(http.StatusBadRequest, "weak_password", reset(token, "password123"))
	s.expect(http.StatusOK, reset(token, next))
	s.refuse(http.StatusUnauthorized, "invalid_reset_token", reset(token, rand.Text()))
	s.requireEnded(before, "a session created before the reset")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password))
	s.account.password = next
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

// mostGuesses is the number of wrong passwords per email and network before logins are refused. Earlier checks have used
// some of them.
const mostGuesses = 10

// checkLimits requires that after too many wrong passwords the correct one is refused too.
func checkLimits(s *suite) {
	for range mostGuesses + 1 {
		if s.err != nil {
			return
		}
		if a := s.send(login(s.account.email, rand.Text())); a.status != http.StatusUnauthorized {
			s.refuse(http.StatusTooManyRequests, "too_many_requests", login(s.account.email, s.account.password))
			return
		}
	}
	s.report.Notes = append(s.report.Notes, fmt.Sprintf("rate limits: %d wrong passwords did not exceed one; SESAME_THROTTLE is off", mostGuesses+1))
}
