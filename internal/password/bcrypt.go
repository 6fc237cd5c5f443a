package password

import (
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	// maxBcryptCost limits the time that a planted hash can use. Cost 14 takes one core about a
	// second.
	maxBcryptCost = 14
	// maxBcryptBytes is the number of bytes of a password that bcrypt uses. It ignores the rest.
	maxBcryptBytes = 72
)

// bcryptForm matches the modular crypt format: variant, cost, 22 characters of salt and 31 of hash.
// The variants a, b and y are the same algorithm for passwords without NUL of at most 72 bytes. The
// variant x is not accepted, because it comes from a broken implementation.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

// bcryptHash is a hash that matches bcryptForm and is within the bounds.
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

// matches rejects passwords of more than maxBcryptBytes: bcrypt would only compare their beginning.
func (h bcryptHash) matches(prepared string) bool {
	err := bcrypt.CompareHashAndPassword([]byte(h), []byte(prepared))
	return err == nil && len(prepared) <= maxBcryptBytes
}
