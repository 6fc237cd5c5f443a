package token

import (
	"crypto/rand"
	"crypto/sha256"
)

// NewOneTime returns a one-time token and its digest, which is stored. The token has 256 random
// bits in 43 characters of base64url.
func NewOneTime() (token string, digest []byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token = base64url.EncodeToString(raw)
	return token, OneTimeDigest(token)
}

// OneTimeDigest returns the SHA-256 digest of a token. A token has 256 random bits, so a stolen
// digest is useless even without a salt and a slow hash.
func OneTimeDigest(token string) []byte {
	digest := sha256.Sum256([]byte(token))
	return digest[:]
}
