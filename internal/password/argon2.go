package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters are the cost of a new hash.
type Parameters struct {
	MemoryKiB   uint32
	Passes      uint32
	Parallelism uint8
}

var (
	// DefaultParameters are the first choice of the OWASP Password Storage Cheat Sheet for argon2id.
	DefaultParameters = Parameters{MemoryKiB: 19456, Passes: 2, Parallelism: 1}
	// WeakParameters make tests fast. They do not protect passwords.
	WeakParameters = Parameters{MemoryKiB: 64, Passes: 1, Parallelism: 1}
)

// The sizes of a new hash, in bytes.
const (
	saltBytes = 16
	hashBytes = 32
)

// The bounds of a stored hash. A hash that an attacker planted must not use up memory or time.
const (
	maxMemoryKiB   = 64 * 1024
	maxPasses      = 10
	maxParallelism = 4
	minSaltBytes   = 8
	maxSaltBytes   = 64
	minHashBytes   = 16
	maxHashBytes   = 64
)

// The variants. argon2i is only verified.
const (
	argon2id = "argon2id"
	argon2i  = "argon2i"
)

// argon2Hash is a parsed PHC string.
type argon2Hash struct {
	Parameters

	variant   string
	salt, sum []byte
}

// newHash hashes prepared with a new salt.
func newHash(prepared string, parameters Parameters) string {
	h := argon2Hash{Parameters: parameters, variant: argon2id, salt: random(saltBytes)}
	h.sum = h.hash(prepared, hashBytes)
	return h.String()
}

// unmatched returns a hash that no password matches: its sum is random.
func unmatched(parameters Parameters) string {
	h := argon2Hash{Parameters: parameters, variant: argon2id, salt: random(saltBytes), sum: random(hashBytes)}
	return h.String()
}

func random(n int) []byte {
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes) // never fails (crypto/rand)
	return bytes
}

func (h argon2Hash) hash(prepared string, length int) []byte {
	key := argon2.IDKey
	if h.variant == argon2i {
		key = argon2.Key
	}
	keyLen := uint32(length) //nolint:gosec // bounded by maxHashBytes
	return key([]byte(prepared), h.salt, h.Passes, h.MemoryKiB, h.Parallelism, keyLen)
}

func (h argon2Hash) matches(prepared string) bool {
	return subtle.ConstantTimeCompare(h.hash(prepared, len(h.sum)), h.sum) == 1
}

// String returns the PHC string.
func (h argon2Hash) String() string {
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version, h.MemoryKiB, h.Passes, h.Parallelism,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

func parseArgon2(hash string) (argon2Hash, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != argon2id && parts[1] != argon2i ||
		parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return argon2Hash{}, fmt.Errorf("%w: not argon2id or argon2i, version 19", ErrHash)
	}
	h := argon2Hash{variant: parts[1]}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.MemoryKiB, &h.Passes, &h.Parallelism); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.MemoryKiB, h.Passes, h.Parallelism) {
		return argon2Hash{}, fmt.Errorf("%w: parameters", ErrHash)
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return argon2Hash{}, fmt.Errorf("%w: salt", ErrHash)
	}
	if h.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return argon2Hash{}, fmt.Errorf("%w: hash", ErrHash)
	}
	bounded := h.MemoryKiB >= 8*uint32(h.Parallelism) && h.MemoryKiB <= maxMemoryKiB &&
		h.Passes >= 1 && h.Passes <= maxPasses && h.Parallelism >= 1 && h.Parallelism <= maxParallelism &&
		len(h.salt) >= minSaltBytes && len(h.salt) <= maxSaltBytes &&
		len(h.sum) >= minHashBytes && len(h.sum) <= maxHashBytes
	if !bounded {
		return argon2Hash{}, fmt.Errorf("%w: parameters out of bounds", ErrHash)
	}
	return h, nil
}
