package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// MinSecretBytes is the least a Secret holds.
const MinSecretBytes = 32

// Secret is what everything secret of an installation is derived from. It is never used as a key itself.
type Secret []byte

// Secrets are the present secret and those before it that still count. Everything new is made under the first.
type Secrets []Secret

// ParseSecret reads a secret from base64, standard or URL-safe, padded or not.
func ParseSecret(text string) (Secret, error) {
	plain := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	secret, err := base64.RawStdEncoding.DecodeString(plain)
	if err != nil {
		return nil, errors.New("the secret is not base64") // and never what it is
	}
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("the secret holds %d bytes; it needs at least %d", len(secret), MinSecretBytes)
	}
	return secret, nil
}

// key derives the 32-byte key for one purpose (HKDF-SHA256, RFC 5869). Keys of different labels tell
// nothing about each other or about the secret.
func (s Secret) key(label string) []byte {
	key, err := hkdf.Key(sha256.New, s, nil, "sesame "+label, 32)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes
	}
	return key
}

// Derive is the key of another room, by a label that no room shares.
func (s Secret) Derive(label string) []byte { return s.key(label) }
