package password

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// Limits for the parameters of a stored scrypt hash. Memory is 128·N·r bytes and time grows with
// N·r·p, so one limit covers both: 128 MiB and about a second of one core. Every recommendation of
// the OWASP Password Storage Cheat Sheet is within it.
const (
	maxScryptWork        = 1 << 20 // N·r·p
	maxScryptBlocks      = 32      // r
	maxScryptParallelism = 16      // p
)

// scryptHash is a parsed PHC string: $scrypt$ln=16,r=8,p=1$salt$hash, where N is 2 to the power of
// ln.
type scryptHash struct {
	logN, blocks, parallelism int
	salt, sum                 []byte
}

func isScrypt(hash string) bool { return strings.HasPrefix(hash, "$scrypt$") }

func (h scryptHash) matches(prepared string) bool {
	// Key returns an error only for invalid parameters, which parseScrypt does not accept.
	sum, err := scrypt.Key([]byte(prepared), h.salt, 1<<h.logN, h.blocks, h.parallelism, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}

func parseScrypt(hash string) (scryptHash, error) {
	var h scryptHash
	parts := strings.Split(hash, "$")
	if len(parts) != 5 {
		return scryptHash{}, fmt.Errorf("%w: not scrypt's form", ErrHash)
	}
	if _, err := fmt.Sscanf(parts[2], "ln=%d,r=%d,p=%d", &h.logN, &h.blocks, &h.parallelism); err != nil ||
		parts[2] != fmt.Sprintf("ln=%d,r=%d,p=%d", h.logN, h.blocks, h.parallelism) {
		return scryptHash{}, fmt.Errorf("%w: scrypt's parameters", ErrHash)
	}
	bounded := h.logN >= 1 && h.logN <= 20 && h.blocks >= 1 && h.blocks <= maxScryptBlocks &&
		h.parallelism >= 1 && h.parallelism <= maxScryptParallelism && h.blocks*h.parallelism<<h.logN <= maxScryptWork
	if !bounded {
		return scryptHash{}, fmt.Errorf("%w: scrypt's parameters out of bounds", ErrHash)
	}
	var err error
	h.salt, h.sum, err = saltAndSum(base64.RawStdEncoding, parts[3], parts[4])
	return h, err
}

// saltAndSum decodes the salt and the hash of a stored hash, and checks their lengths.
func saltAndSum(encoding *base64.Encoding, salt, sum string) (saltBytes, sumBytes []byte, err error) {
	if saltBytes, err = encoding.Strict().DecodeString(salt); err != nil ||
		len(saltBytes) < minSaltBytes || len(saltBytes) > maxSaltBytes {
		return nil, nil, fmt.Errorf("%w: salt", ErrHash)
	}
	if sumBytes, err = encoding.Strict().DecodeString(sum); err != nil ||
		len(sumBytes) < minHashBytes || len(sumBytes) > maxHashBytes {
		return nil, nil, fmt.Errorf("%w: hash", ErrHash)
	}
	return saltBytes, sumBytes, nil
}
