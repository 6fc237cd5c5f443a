// Package password decides which passwords are acceptable and keeps them as argon2id hashes (RFC 9106) in
// PHC strings: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, salt and hash in unpadded base64.
//
// Users who come from elsewhere bring their hashes: bcrypt, scrypt, PBKDF2, argon2i, and argon2id of another cost
// are verified too, within bounds, and Outdated says that a login should replace them.
package password

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
)

// ErrHash says that a stored hash is not one that Verify can check: damaged, foreign or out of bounds.
var ErrHash = errors.New("stored password hash is not valid")

// Unmatched makes a hash of today's cost that no password matches: its 256 bits are not the hash of one, but
// random. To verify against it takes as long as against a user's.
func Unmatched() string {
	unmatched := today()
	unmatched.sum = make([]byte, hashBytes)
	_, _ = rand.Read(unmatched.sum) // never fails (crypto/rand)
	return unmatched.String()
}

func hash(prepared string, m *memory) string {
	made := today()
	made.sum = made.derive(prepared, hashBytes, m)
	return made.String()
}

// today is a new hash's parameters and salt.
func today() argon2Hash {
	h := argon2Hash{variant: argon2id, memoryKiB: memoryKiB, passes: passes, parallelism: parallelism, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(h.salt) // never fails (crypto/rand)
	return h
}

// CheckHash tells whether hash is one that Verify can check. It hashes nothing. Errors: ErrHash, in words that
// quote nothing of hash.
func CheckHash(hash string) error {
	_, err := parse(hash)
	return err
}

// Outdated tells whether hash is of another algorithm, cost or size than Hash makes today, and so should be
// replaced when its password is at hand. A dearer hash is outdated too: with one cost for all users, a login's
// time tells nothing about whose it is.
func Outdated(hash string) bool {
	stored, err := parseArgon2(hash)
	return err != nil || stored.variant != argon2id ||
		stored.memoryKiB != memoryKiB || stored.passes != passes || stored.parallelism != parallelism ||
		len(stored.salt) != saltBytes || len(stored.sum) != hashBytes
}

// storedHash is a hash within bounds.
type storedHash interface {
	// matches computes the hash of prepared, whatever prepared is, in m, and compares.
	matches(prepared string, m *memory) bool
}

// longestHash is more than any hash within bounds takes.
const longestHash = 512

func parse(hash string) (storedHash, error) {
	switch {
	case len(hash) > longestHash || strings.ContainsAny(hash, "\r\n"): // base64 passes over line breaks
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
