// Package password decides which passwords are acceptable, and stores them as argon2id hashes (RFC 9106) in PHC
// format: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, with salt and hash in unpadded base64.
//
// It also verifies the hashes that users bring from other systems, within bounds: bcrypt, scrypt, PBKDF2, argon2i,
// and argon2id of another cost. [Hasher.Outdated] reports that a login should replace such a hash.
//
// A hash takes a processor and 19 MiB of memory while it runs, and anybody can request one by logging in. So a
// [Hasher] limits how many run at once and, in a server, runs them in child processes of the lowest priority.
package password

import (
	"errors"
	"fmt"
	"strings"
)

// ErrHash is returned for a stored hash that cannot be verified: it is damaged, of an unknown format or out of
// bounds.
var ErrHash = errors.New("stored password hash is not valid")

// CheckHash returns ErrHash if hash cannot be verified. It hashes nothing, and its error quotes nothing of hash.
func CheckHash(hash string) error {
	_, err := parse(hash)
	return err
}

// storedHash is a parsed hash within bounds.
type storedHash interface {
	// matches hashes prepared with the parameters of the stored hash, and compares.
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
