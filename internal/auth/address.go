package auth

import (
	"errors"
	"strings"
)

// MaxAddress is the longest address, in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
const MaxAddress = 254

// ErrAddress says that a text is not an email address Sesame takes.
var ErrAddress = errors.New("not an email address")

// NormalizeAddress is the one way from what somebody typed to the address an account has. It takes what
// HTML's <input type=email> takes, within the lengths of RFC 5321, and lowers the letters, so that every
// spelling of an address is one account. It is idempotent. Errors: ErrAddress.
//
// Only ASCII is taken. Letters that look alike, or that lower or compose to one another, cannot make one
// person's address pass for another's when there are none; a domain in other letters has its A-labels.
func NormalizeAddress(text string) (string, error) {
	local, domain, found := strings.Cut(text, "@")
	if !found || len(text) > MaxAddress || !isLocalPart(local) || !isDomain(domain) {
		return "", ErrAddress
	}
	return strings.ToLower(text), nil // ASCII by now
}

// isLocalPart takes a dot-atom of RFC 5321, at most 64 bytes, and no quoted strings.
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

// isDomain takes host names: labels of letters, digits and inner hyphens, at most 63 bytes each.
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
