package password

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	// MinLength and MaxLength limit a new password, in code points (NIST SP 800-63B-4, section
	// 3.1.1.2). NIST allows 8 for a password used with a second factor, and asks for 15 where it is
	// the only one. A Policy may require more than MinLength, up to MaxMinLength.
	MinLength    = 8
	MaxMinLength = 64
	MaxLength    = 128
)

// The reasons why Accept refuses a password, except for TooShortError. The texts are shown to the
// user.
var (
	ErrTooLong       = errors.New("the password is longer than 128 characters")
	ErrCharacters    = errors.New("the password contains a character that cannot be used, such as a control character")
	ErrCommon        = errors.New("the password is one of the most common ones")
	ErrCommonVariant = errors.New("the password is a common one with characters added, swapped, reversed or repeated")
	ErrBreached      = errors.New("the password is known from a leak, and is guessed early")
	ErrPersonal      = errors.New("the password is too close to your name, your email or the name of this service")
)

// TooShortError is returned by Accept for a password with fewer characters than required.
type TooShortError struct{ MinLength int }

func (e *TooShortError) Error() string {
	return fmt.Sprintf("the password is shorter than %d characters", e.MinLength)
}

// Policy decides which passwords are acceptable. The zero value requires 8 characters.
type Policy struct{ MinLength int }

// Required returns how many characters a new password must have.
func (p Policy) Required() int { return max(p.MinLength, MinLength) }

// New is a new password that Accept has checked, ready to be hashed.
type New struct{ prepared string }

// Accept checks a new password against the policy. The context is what others know about the user,
// such as the name and the email.
//
// It returns ErrCharacters, *TooShortError or ErrTooLong for a password that cannot be used;
// ErrCommon for a common password, ignoring case; ErrCommonVariant for one with the usual changes;
// ErrPersonal for a password made of the context or of the name of this service; and ErrBreached
// for a leaked one.
//
// It neither trims nor truncates passwords, and requires no mixture of characters.
func (p Policy) Accept(password string, context ...string) (New, error) {
	prepared, err := prepare(password)
	if err != nil {
		return New{}, ErrCharacters
	}
	switch length := utf8.RuneCountInString(prepared); {
	case length < p.Required():
		return New{}, &TooShortError{MinLength: p.Required()}
	case length > MaxLength:
		return New{}, ErrTooLong
	}
	switch folded := Fold(prepared); {
	case isCommon(folded):
		return New{}, ErrCommon
	case isPersonal(folded, context):
		return New{}, ErrPersonal
	case isVariant(folded):
		return New{}, ErrCommonVariant
	case isBreached(folded):
		return New{}, ErrBreached
	}
	return New{prepared}, nil
}

// prepare returns the form of a password that is hashed: the OpaqueString profile of RFC 8265,
// section 4.2. It makes an é typed as one character equal to an é typed as two.
func prepare(password string) (string, error) {
	if !utf8.ValidString(password) { // precis would replace the invalid bytes
		return "", ErrCharacters
	}
	return precis.OpaqueString.String(password)
}
