package password

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxBcryptCost bounds what a planted hash takes: 14 is about a second of one core.
	maxBcryptCost = 14
	// maxBcryptBytes is what bcrypt reads of a password. The package ignores what is behind it when it compares.
	maxBcryptBytes = 72
)

// bcryptForm is the modular crypt form: variant, cost, 22 characters of salt and 31 of hash. The variants a, b
// and y are one algorithm for passwords without NUL of at most 72 bytes; x is a faulty one.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// bcryptHash is a hash in bcryptForm within the bounds.
type bcryptHash string

func isBcrypt(hash string) bool { return strings.HasPrefix(hash, "$2") }

func parseBcrypt(hash string) (bcryptHash, error) {
	if !bcryptForm.MatchString(hash) {
		return "", fmt.Errorf("%w: not bcrypt's form", ErrHash)
	}
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost > maxBcryptCost {
		return "", fmt.Errorf("%w: bcrypt's cost out of bounds", ErrHash)
	}
	return bcryptHash(hash), nil
}

// matches never matches a longer password by its beginning.
func (h bcryptHash) matches(prepared string) bool {
	err := bcrypt.CompareHashAndPassword([]byte(h), []byte(prepared))
	return err == nil && len(prepared) <= maxBcryptBytes
}
