package conformance

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"strings"
)

// account is the account of a run.
type account struct{ email, password string }

// newAccount returns a random email and password.
func (s *suite) newAccount() account {
	return account{email: strings.ToLower("conformance-" + rand.Text() + "@" + s.target.Domain), password: newPassword()}
}

// registered returns the account that the run was given or has registered. Without one, the check
// is skipped.
func (s *suite) registered() account {
	if s.account == (account{}) {
		s.skip("it needs an account, and register created none")
	}
	return s.account
}

// AccountError is returned if a run cannot register an account and log in, because of the settings
// of the deployment. It needs the Account of the target.
type AccountError struct{ Reason string }

func (e *AccountError) Error() string {
	return e.Reason + ": name an existing user with a verified email (--account)"
}

// needAccount ends the run with an *AccountError.
func (s *suite) needAccount(reason string) {
	if s.err == nil {
		s.err = &AccountError{Reason: reason}
	}
}

// explain ends the run or skips the check if the settings of the deployment are the reason for an
// error.
func (s *suite) explain(r response) {
	switch r.text("code") {
	case "registration_closed":
		s.needAccount("nobody can register (SESAME_REGISTRATION=closed)")
	case "email_not_verified":
		if s.contract.OperationAt(s.last.method, s.last.pathOnly()) == "login" {
			s.needAccount("a login requires a verified email (SESAME_EMAIL_VERIFICATION=required)")
			return
		}
		s.skip("it requires a verified email: name an existing user who has one (--account)")
	}
}

// newPassword returns a random password. It is longer than any deployment may require
// (SESAME_MIN_PASSWORD_LENGTH).
func newPassword() string { return rand.Text() + rand.Text() + rand.Text() }

// weakPassword is as long, but a common password, repeated.
var weakPassword = strings.Repeat("password", 9)

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
