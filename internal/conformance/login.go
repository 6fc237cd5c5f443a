package conformance

import (
	"crypto/rand"
	"net/http"
	"strings"
)

var loginChecks = []check{
	{operation: "login", name: "success", run: checkLogin},
	{operation: "login", name: "wrong email or password", run: checkLoginRefuses},
	{operation: "login", name: "after refused registrations", run: checkLoginAfterRegister},
}

func login(email, password string) call {
	return post("/auth/login", "email", email, "password", password)
}

// tokens are the tokens of a session.
type tokens struct{ access, refresh string }

// logIn starts a session.
func (s *suite) logIn() tokens {
	a := s.registered()
	return tokensOf(s.expect(http.StatusOK, login(a.email, a.password)))
}

func tokensOf(r response) tokens {
	return tokens{access: r.text("accessToken"), refresh: r.text("refreshToken")}
}

// checkLogin requires that the case of the email is ignored.
func checkLogin(s *suite) {
	s.logIn()
	s.expect(http.StatusOK, login(strings.ToUpper(s.account.email), s.account.password))
}

// checkLoginRefuses requires that a failed login does not reveal whether the account exists.
func checkLoginRefuses(s *suite) {
	known, unknown := s.registered(), s.newAccount()
	wrongPassword := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(known.email, unknown.password))
	unknownEmail := s.refuse(http.StatusUnauthorized, "invalid_credentials", login(unknown.email, unknown.password))
	s.require(alike(wrongPassword, unknownEmail), "an unknown email and a wrong password must return the same response")
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(known.email, known.password+" "))
	s.refuse(http.StatusBadRequest, "validation_failed", post("/auth/login", "email", known.email, "password", nil))
}

// checkLoginAfterRegister requires that a refused registration creates no account, and does not
// change the one that has its email.
func checkLoginAfterRegister(s *suite) {
	other := s.newAccount()
	s.refuse(http.StatusBadRequest, "validation_failed", register(other, "confirm", other.password+"x"))
	s.refuse(http.StatusUnauthorized, "invalid_credentials", login(other.email, other.password))
	s.refuse(http.StatusBadRequest, "email_taken", register(account{s.registered().email, other.password}))
	s.logIn()
}

// maxGuesses is how many wrong passwords are allowed per email and network.
const maxGuesses = 10

// checkLimits requires that too many wrong passwords are refused. The email has no account: the limits
// must not reveal whether there is one.
func checkLimits(s *suite) {
	unknown := s.newAccount()
	for range maxGuesses + 1 {
		r := s.send(login(unknown.email, rand.Text()))
		if s.err != nil {
			return
		}
		if r.status != http.StatusUnauthorized {
			s.refuse(http.StatusTooManyRequests, "too_many_requests", login(unknown.email, unknown.password))
			return
		}
	}
	s.skip("%d wrong passwords did not exceed a limit; SESAME_THROTTLE is off", maxGuesses+1)
}
