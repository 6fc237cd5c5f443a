// Package password decides which passwords are acceptable and keeps them as argon2id hashes (RFC 9106) in
// PHC strings: $argon2id$v=19$m=19456,t=2,p=1$salt$hash, salt and hash in unpadded base64.
package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash: the OWASP Password Storage Cheat Sheet's first choice for argon2id.
const (
	passes      = 2
	parallelism = 1
	saltBytes   = 16
	hashBytes   = 32
)

var memoryKiB uint32 = 19456

// TestingOnlyWeaken makes new hashes cheap, for tests of something else: the race detector makes a hash's
// memory so dear that a machine does a few of them a second. Call it before anything is hashed.
func TestingOnlyWeaken() { memoryKiB = 64 }

// What a stored hash may ask of Verify. A planted one must not take the machine's memory or time.
const (
	maxMemoryKiB   = 64 * 1024
	maxPasses      = 10
	maxParallelism = 4
	minSaltBytes   = 8
	maxSaltBytes   = 64
	minHashBytes   = 16
	maxHashBytes   = 64
)

// ErrHash says that a stored hash is not one that Verify can check: damaged, foreign or out of bounds.
var ErrHash = errors.New("stored password hash is not valid")

// Hash makes the PHC string of a password. Two hashes of one password differ by their salts.
func Hash(password New) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	hash := argon2.IDKey([]byte(password.prepared), salt, passes, memoryKiB, parallelism, hashBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memoryKiB, passes, parallelism,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(hash))
}

// Verify tells whether password is the one that hash was made of. It takes the same time for every
// password, acceptable by the policy or not. Errors: ErrHash.
func Verify(password, hash string) (bool, error) {
	stored, err := parse(hash)
	if err != nil {
		return false, err
	}
	prepared, unusable := prepare(password)
	got := argon2.IDKey([]byte(prepared), stored.salt, stored.passes, stored.memoryKiB, stored.parallelism, uint32(len(stored.hash))) //nolint:gosec // bounded by maxHashBytes
	return subtle.ConstantTimeCompare(got, stored.hash) == 1 && unusable == nil, nil
}

type phc struct {
	memoryKiB, passes uint32
	parallelism       uint8
	salt, hash        []byte
}

func parse(hash string) (phc, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, fmt.Errorf("%w: not argon2id, version 19", ErrHash)
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memoryKiB, &p.passes, &p.parallelism); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memoryKiB, p.passes, p.parallelism) {
		return phc{}, fmt.Errorf("%w: parameters", ErrHash)
	}
	var err error
	if p.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return phc{}, fmt.Errorf("%w: salt", ErrHash)
	}
	if p.hash, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return phc{}, fmt.Errorf("%w: hash", ErrHash)
	}
	bounded := p.memoryKiB >= 8*uint32(p.parallelism) && p.memoryKiB <= maxMemoryKiB &&
		p.passes >= 1 && p.passes <= maxPasses && p.parallelism >= 1 && p.parallelism <= maxParallelism &&
		len(p.salt) >= minSaltBytes && len(p.salt) <= maxSaltBytes && len(p.hash) >= minHashBytes && len(p.hash) <= maxHashBytes
	if !bounded {
		return phc{}, fmt.Errorf("%w: parameters out of bounds", ErrHash)
	}
	return p, nil
}
