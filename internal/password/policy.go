package password

import (
	"errors"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	// MinLength and MaxLength bound a new password, in code points (NIST SP 800-63B-4, 3.1.1.2). The floor
	// is the one for a password beside another factor; where it is the only one, NIST asks for 15.
	MinLength = 8
	MaxLength = 128
)

// The reasons a new password is refused. Each is an answer to the person who chose it.
var (
	ErrTooShort      = errors.New("the password is shorter than 8 characters")
	ErrTooLong       = errors.New("the password is longer than 128 characters")
	ErrCharacters    = errors.New("the password contains a character that cannot be used, such as a control character")
	ErrCommon        = errors.New("the password is one of the most common ones")
	ErrCommonVariant = errors.New("the password is a common one with characters added, swapped, reversed or repeated")
	ErrBreached      = errors.New("the password is known from a leak, and is guessed early")
	ErrPersonal      = errors.New("the password is too close to your name, your address or the name of this service")
)

// New is a password that the policy accepts for a new one, ready to be hashed.
type New struct{ prepared string }

// Accept tells whether password may become somebody's password: by its length, by its characters, and by how
// soon it would be guessed. It must not be on the list of common ones, in whatever case, nor be one of them with
// the usual changes, nor be made of the name of this service or of context, which is what others know about the
// person: the name, the address; nor may it be known from a leak. Nothing is trimmed or cut off and no mixture of
// characters is demanded. Errors: ErrCharacters, ErrTooShort, ErrTooLong, ErrCommon, ErrPersonal, ErrCommonVariant,
// ErrBreached.
func Accept(password string, context ...string) (New, error) {
	prepared, err := prepare(password)
	if err != nil {
		return New{}, ErrCharacters
	}
	switch length := utf8.RuneCountInString(prepared); {
	case length < MinLength:
		return New{}, ErrTooShort
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

// prepare brings a password to the one form that is hashed, so that é typed as one character or as two is
// the same password (RFC 8265, section 4.2: OpaqueString).
func prepare(password string) (string, error) {
	if !utf8.ValidString(password) { // which precis would mend
		return "", ErrCharacters
	}
	return precis.OpaqueString.String(password)
}
