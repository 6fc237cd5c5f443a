package token

import (
	"crypto/rand"
	"crypto/sha256"
)

// NewOneTime makes a one-time token of 256 random bits, 43 characters of base64url, and the digest under
// which it is stored.
func NewOneTime() (token string, digest []byte) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails (crypto/rand)
	token = base64url.EncodeToString(raw)
	return token, OneTimeDigest(token)
}

// OneTimeDigest is SHA-256 of the token's text. A token has 256 random bits, so no salt and no slow hash
// is needed to keep a stolen digest useless.
func OneTimeDigest(token string) []byte {
	digest := sha256.Sum256([]byte(token))
	return digest[:]
}
