// Package secret parses the secret of an installation, and derives all other keys from it.
package secret

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MinBytes is the minimum length of a Secret.
const MinBytes = 32

// Secret is the value that all keys of an installation are derived from. It is never used as a key
// itself.
type Secret []byte

// Parse decodes a secret from base64, standard or URL-safe, padded or not. Its errors never quote
// the text.
func Parse(text string) (Secret, error) {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	decoded, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return nil, errors.New("the secret is not base64")
	}
	if len(decoded) < MinBytes {
		return nil, fmt.Errorf("the secret has %d bytes; it needs at least %d", len(decoded), MinBytes)
	}
	return decoded, nil
}

// Derive returns the 32-byte key for one purpose (HKDF-SHA256, RFC 5869). The label names the
// purpose and must be unique to it: keys with different labels reveal nothing about each other or
// the secret.
func (s Secret) Derive(label string) []byte {
	key, err := hkdf.Key(sha256.New, s, nil, "sesame "+label, 32)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes
	}
	return key
}
