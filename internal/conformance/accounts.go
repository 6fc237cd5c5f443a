package conformance

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// account is one that the suite made.
type account struct{ email, password string }

// newAccount is an address that nobody has, and a password that nobody guesses.
func (s *suite) newAccount() account {
	return account{email: strings.ToLower("conformance-" + rand.Text() + "@" + s.target.Domain), password: rand.Text()}
}

// register is the registration of an account, with other members in place of its own.
func register(a account, others ...any) call {
	return post("/auth/register", append([]any{"name", "Conformance", "email", a.email, "password", a.password, "confirm", a.password}, others...)...)
}

func login(email, password string) call {
	return post("/auth/login", "email", email, "password", password)
}

// An account has what was told of it and nothing else: the address in lower case, no field that the contract does not
// know.
func checkRegister(s *suite) {
	s.account = s.newAccount()
	a := s.expect(http.StatusCreated, register(s.account, "email", strings.ToUpper(s.account.email), "id", "1", "role", "admin", "generation", 7))
	if s.err == nil {
		s.report.Account = s.account.email
	}
	s.hold(a.text("user", "email") == s.account.email, "the address must be the one told, in lower case")
	s.hold(a.text("user", "name") == "Conformance", "the name must be the one told")
	s.hold(!strings.Contains(string(a.raw), s.account.password), "the password must not come back")
}

// What is refused says all of why, makes no account, and never quotes what was submitted.
func checkRegisterRefuses(s *suite) {
	other := s.newAccount()
	a := s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/register", "bio", 1, "email", "nobody", "password", "tiny7x", "confirm", "tiny7y"))
	s.hold(slices.Equal(a.faults(), []string{"/bio", "/confirm", "/email", "/name", "/password"}), "every fault must be named at once")
	s.hold(!strings.Contains(string(a.raw), "tiny7"), "what was submitted must not come back")
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "confirm", other.password+"x"))
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "password", nil, "confirm", nil))
	s.refuse(http.StatusBadRequest, "weak_password", register(other, "password", "password123", "confirm", "password123"))
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(other.email, other.password)) // nothing was made
	s.refuse(http.StatusBadRequest, "email_taken", register(account{strings.ToUpper(s.account.email), other.password}))
	s.logIn() // and nothing was changed
}

// Being refused tells nothing about the account. The address may be written in any case.
func checkLogin(s *suite) {
	unknown := s.newAccount()
	wrong := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, unknown.password))
	nobody := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(unknown.email, unknown.password))
	s.hold(alike(wrong, nobody), "an unknown address and a wrong password must be answered alike")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password+" "))
	s.expect(http.StatusOK, login(strings.ToUpper(s.account.email), s.account.password))
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/login", "email", s.account.email, "password", nil))
}

// alike tells whether two answers differ in nothing but the request they are to: in status, body, and which headers
// they have.
func alike(a, b answer) bool {
	var texts [2]string
	for i, one := range []answer{a, b} {
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

// A link works once, is not used up by a password that is refused, and ends every session.
func checkResetPassword(s *suite) {
	s.refuse(http.StatusUnauthorized, "invalid_reset_token", reset(rand.Text(), rand.Text()))
	a := s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/reset-password", "password", rand.Text()))
	s.hold(slices.Equal(a.faults(), []string{"token"}), "the missing parameter must be named")
	if s.err != nil {
		return
	}
	if s.target.ResetLink == nil {
		s.report.Notes = append(s.report.Notes, "resetPassword: a reset that succeeds was not tried, for want of a link")
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
	s.over(before, "a session from before the reset")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(s.account.email, s.account.password))
	s.account.password = next
	s.live(s.logIn())
}

func reset(token, password string) call {
	return post("/auth/reset-password?token="+token, "password", password)
}

// Asking for a link tells nobody who has an account.
func checkForgotPassword(s *suite) {
	known := s.expect(http.StatusAccepted, post("/auth/forgot-password", "email", s.account.email))
	unknown := s.expect(http.StatusAccepted, post("/auth/forgot-password", "email", s.newAccount().email))
	s.hold(alike(known, unknown), "an unknown address and a known one must be answered alike")
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/forgot-password", "email", "nobody"))
}

// mostGuesses is how many wrong passwords an address may have from a network before the next is not looked at. A few
// have gone already when the limits are checked.
const mostGuesses = 10

// Guessing ends, and then the right password is not looked at either.
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
	s.report.Notes = append(s.report.Notes, fmt.Sprintf("limits: none was met by %d wrong passwords; SESAME_THROTTLE is off", mostGuesses+1))
}
