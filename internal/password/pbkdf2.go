package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// The maximum iterations limit the time that a planted hash can use: about a second of one core.
// The OWASP Password Storage Cheat Sheet recommends 600,000 for SHA-256 and 210,000 for SHA-512.
const (
	maxSHA256Iterations = 2_000_000
	maxSHA512Iterations = 1_000_000
)

// passlibEncoding is base64 with a dot for the plus sign, as the Python library passlib writes it.
var passlibEncoding = base64.
	NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789./").
	WithPadding(base64.NoPadding)

// pbkdf2Hash is a parsed hash in one of two formats: PHC, $pbkdf2-sha256$i=600000$salt$hash, where
// the parameters may end in ,l= and the length of the hash; or passlib's,
// $pbkdf2-sha256$600000$salt$hash. The function is sha256 or sha512.
type pbkdf2Hash struct {
	function   string
	iterations int
	salt, sum  []byte
}

func isPBKDF2(hash string) bool { return strings.HasPrefix(hash, "$pbkdf2-") }

const (
	pbkdf2SHA256 = "pbkdf2-sha256"
	pbkdf2SHA512 = "pbkdf2-sha512"
)

func (h pbkdf2Hash) matches(prepared string) bool {
	var sum []byte
	var err error // only in FIPS mode, if the salt or hash is too short for it
	if h.function == pbkdf2SHA512 {
		sum, err = pbkdf2.Key(sha512.New, prepared, h.salt, h.iterations, len(h.sum))
	} else {
		sum, err = pbkdf2.Key(sha256.New, prepared, h.salt, h.iterations, len(h.sum))
	}
	return err == nil && subtle.ConstantTimeCompare(sum, h.sum) == 1
}

func parsePBKDF2(hash string) (pbkdf2Hash, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 5 || parts[1] != pbkdf2SHA256 && parts[1] != pbkdf2SHA512 {
		return pbkdf2Hash{}, fmt.Errorf("%w: neither pbkdf2-sha256 nor pbkdf2-sha512", ErrHash)
	}
	h, encoding := pbkdf2Hash{function: parts[1]}, passlibEncoding
	iterations, isPHC := strings.CutPrefix(parts[2], "i=")
	length, hasLength := "", false
	if isPHC {
		encoding = base64.RawStdEncoding
		iterations, length, hasLength = strings.Cut(iterations, ",l=")
	}
	var err error
	if h.iterations, err = strconv.Atoi(iterations); err != nil || strconv.Itoa(h.iterations) != iterations {
		return pbkdf2Hash{}, fmt.Errorf("%w: PBKDF2's iterations", ErrHash)
	}
	most := maxSHA256Iterations
	if h.function == pbkdf2SHA512 {
		most = maxSHA512Iterations
	}
	if h.iterations < 1 || h.iterations > most {
		return pbkdf2Hash{}, fmt.Errorf("%w: PBKDF2's iterations out of bounds", ErrHash)
	}
	if h.salt, h.sum, err = saltAndSum(encoding, parts[3], parts[4]); err != nil {
		return pbkdf2Hash{}, err
	}
	if hasLength && length != strconv.Itoa(len(h.sum)) {
		return pbkdf2Hash{}, fmt.Errorf("%w: PBKDF2's length is not the hash's", ErrHash)
	}
	return h, nil
}
