package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// ErrSealed is returned if a value cannot be decrypted, because it was sealed under another secret,
// for another context, or changed.
var ErrSealed = errors.New("sealed with another secret")

// Sealer encrypts values for one purpose with AES-256-GCM, under keys derived from the secrets.
type Sealer struct {
	aeads []cipher.AEAD // one for each secret
}

// NewSealer returns a Sealer. It encrypts under the first of the secrets, and decrypts what was
// sealed under any of them. The label is that of [Secret.Derive].
func NewSealer(secrets []Secret, label string) Sealer {
	var s Sealer
	for _, secret := range secrets {
		block, err := aes.NewCipher(secret.Derive(label))
		if err != nil {
			panic(err) // only for keys of another length
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err) // only for ciphers of another block size
		}
		s.aeads = append(s.aeads, aead)
	}
	return s
}

// Rotating reports whether there is a previous secret.
func (s Sealer) Rotating() bool { return len(s.aeads) > 1 }

// Seal encrypts plain. The context names the value, such as the id of its row; only [Sealer.Open]
// with the same context decrypts it. The result is nonce ‖ ciphertext.
func (s Sealer) Seal(plain []byte, context string) []byte {
	aead := s.aeads[0]
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return aead.Seal(nonce, nonce, plain, []byte(context))
}

// Open decrypts a sealed value. It also reports whether the value is sealed under a previous secret
// and should be sealed again. It returns ErrSealed.
func (s Sealer) Open(sealed []byte, context string) (plain []byte, outdated bool, err error) {
	for i, aead := range s.aeads {
		if len(sealed) < aead.NonceSize() {
			break
		}
		plain, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(context))
		if err == nil {
			return plain, i > 0, nil
		}
	}
	return nil, false, ErrSealed
}
