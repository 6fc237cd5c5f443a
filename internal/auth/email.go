package auth

import (
	"errors"
	"strings"
)

// MaxEmailBytes is the maximum length of an email address (RFC 5321, section 4.5.3.1.3, without the
// angle brackets).
const MaxEmailBytes = 254

// ErrInvalidEmail is returned for a text that is not an email address Sesame accepts.
var ErrInvalidEmail = errors.New("not a valid email address")

// NormalizeEmail returns the form in which an email address is stored and compared: lower case.
// Every email that a user typed passes through it. It is idempotent. It returns ErrInvalidEmail for
// anything that HTML's <input type=email> or the length limits of RFC 5321 do not allow.
//
// Only ASCII is accepted. Otherwise two emails could be confused because their characters look
// alike, or become equal when lowered or normalized. Internationalized domains are written as
// A-labels.
func NormalizeEmail(text string) (string, error) {
	local, domain, found := strings.Cut(text, "@")
	if !found || len(text) > MaxEmailBytes || !isLocalPart(local) || !isDomain(domain) {
		return "", ErrInvalidEmail
	}
	return strings.ToLower(text), nil // ASCII by now
}

// isLocalPart accepts a dot-atom of RFC 5321 of at most 64 bytes, but no quoted string.
func isLocalPart(text string) bool {
	if text == "" || len(text) > 64 {
		return false
	}
	for atom := range strings.SplitSeq(text, ".") {
		if atom == "" {
			return false
		}
		for i := range len(atom) {
			if !isAlphanumeric(atom[i]) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", rune(atom[i])) {
				return false
			}
		}
	}
	return true
}

// isDomain accepts a host name: labels of letters, digits and inner hyphens, at most 63 bytes each.
func isDomain(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isAlphanumeric(label[i]) && label[i] != '-' {
				return false
			}
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// withoutTag returns a normalized email without the tag that many mail servers ignore:
// user+tag@host and user@host are usually one mailbox.
func withoutTag(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	if user, _, tagged := strings.Cut(local, "+"); tagged && user != "" {
		local = user
	}
	return local + "@" + domain
}
