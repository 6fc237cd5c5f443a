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

// Hash makes the PHC string of a password. Two hashes of one password differ by their salts.
func Hash(password New) string { return hash(password.prepared) }

// Rehash makes today's hash of a password that Verify has just matched. The policy is not asked: it is for new
// passwords, and this one is its owner's already. Errors: ErrCharacters, which no matching password gives.
func Rehash(password string) (string, error) {
	prepared, err := prepare(password)
	if err != nil {
		return "", ErrCharacters
	}
	return hash(prepared), nil
}

func hash(prepared string) string {
	today := argon2Hash{variant: argon2id, memoryKiB: memoryKiB, passes: passes, parallelism: parallelism, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(today.salt) // never fails (crypto/rand)
	today.sum = today.derive(prepared, hashBytes)
	return today.String()
}

// Verify tells whether password is the one that hash was made of. For one hash it takes the same time for
// every password, acceptable by the policy or not. Errors: ErrHash.
func Verify(password, hash string) (bool, error) {
	stored, err := parse(hash)
	if err != nil {
		return false, err
	}
	prepared, unusable := prepare(password)
	return stored.matches(prepared) && unusable == nil, nil
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
	// matches computes the hash of prepared, whatever prepared is, and compares.
	matches(prepared string) bool
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
