// Package password decides which passwords are acceptable, and hashes them with argon2id (RFC
// 9106). Hashes are in PHC format, $argon2id$v=19$m=19456,t=2,p=1$salt$hash, with salt and hash in
// unpadded base64.
//
// It also verifies hashes that were imported from other systems, within bounds: bcrypt, scrypt,
// PBKDF2, argon2i, and argon2id of another cost. [Hasher.Outdated] reports that a login should
// replace such a hash.
//
// Hashing takes a processor and 19 MiB of memory, and anybody can cause it by trying to log in. So
// a [Hasher] limits how many hashes run at once and, in a server, runs them in child processes with
// the lowest priority.
package password

import (
	"errors"
	"fmt"
	"strings"
)

// ErrHash is returned for a stored hash that cannot be verified: it is damaged, out of bounds or in
// an unknown format.
var ErrHash = errors.New("stored password hash is not valid")

// CheckHash returns ErrHash if hash cannot be verified. It hashes nothing, and its error does not
// quote hash.
func CheckHash(hash string) error {
	_, err := parse(hash)
	return err
}

// storedHash is a parsed hash within bounds.
type storedHash interface {
	// matches reports whether prepared, hashed with the parameters of the stored hash, is equal to it.
	matches(prepared string) bool
}

// maxHashLength is more than any hash within bounds has.
const maxHashLength = 512

func parse(hash string) (storedHash, error) {
	switch {
	case len(hash) > maxHashLength || strings.ContainsAny(hash, "\r\n"): // base64 ignores line breaks
		return nil, fmt.Errorf("%w: too long, or more than one line", ErrHash)
	case isBcrypt(hash):
		return parseBcrypt(hash)
	case isScrypt(hash):
		return parseScrypt(hash)
	case isPBKDF2(hash):
		return parsePBKDF2(hash)
	case strings.HasPrefix(hash, "$argon2"):
		return parseArgon2(hash)
	}
	return nil, fmt.Errorf("%w: none of argon2id, argon2i, bcrypt, scrypt and PBKDF2", ErrHash)
}
