package password

import (
	"crypto/subtle"
	"encoding/base64"
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

// The variants, as PHC strings name them. argon2i is verified for those who come from elsewhere.
const (
	argon2id = "argon2id"
	argon2i  = "argon2i"
)

// argon2Hash is what a PHC string says.
type argon2Hash struct {
	variant           string
	memoryKiB, passes uint32
	parallelism       uint8
	salt, sum         []byte
}

func (h argon2Hash) matches(prepared string, m *memory) bool {
	return subtle.ConstantTimeCompare(h.derive(prepared, uint32(len(h.sum)), m), h.sum) == 1 //nolint:gosec // bounded by maxHashBytes
}

// String is the PHC string.
func (h argon2Hash) String() string {
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.variant, argon2.Version, h.memoryKiB, h.passes, h.parallelism,
		base64.RawStdEncoding.EncodeToString(h.salt), base64.RawStdEncoding.EncodeToString(h.sum))
}

func parseArgon2(hash string) (argon2Hash, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != argon2id && parts[1] != argon2i || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return argon2Hash{}, fmt.Errorf("%w: neither bcrypt nor argon2id or argon2i, version 19", ErrHash)
	}
	h := argon2Hash{variant: parts[1]}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memoryKiB, &h.passes, &h.parallelism); err != nil ||
		parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", h.memoryKiB, h.passes, h.parallelism) {
		return argon2Hash{}, fmt.Errorf("%w: parameters", ErrHash)
	}
	var err error
	if h.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return argon2Hash{}, fmt.Errorf("%w: salt", ErrHash)
	}
	if h.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return argon2Hash{}, fmt.Errorf("%w: hash", ErrHash)
	}
	bounded := h.memoryKiB >= 8*uint32(h.parallelism) && h.memoryKiB <= maxMemoryKiB &&
		h.passes >= 1 && h.passes <= maxPasses && h.parallelism >= 1 && h.parallelism <= maxParallelism &&
		len(h.salt) >= minSaltBytes && len(h.salt) <= maxSaltBytes && len(h.sum) >= minHashBytes && len(h.sum) <= maxHashBytes
	if !bounded {
		return argon2Hash{}, fmt.Errorf("%w: parameters out of bounds", ErrHash)
	}
	return h, nil
}
