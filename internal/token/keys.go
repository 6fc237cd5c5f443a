package token

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Algorithm is how access tokens are signed (RFC 7518, section 3.1; RFC 8037, section 3.1).
type Algorithm string

// The algorithms there are keys for.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
)

// Algorithms lists every Algorithm, the default first.
var Algorithms = []Algorithm{ES256, EdDSA}

// ErrSealed says that a stored signing key does not open: it was sealed under another secret, or changed.
var ErrSealed = errors.New("the signing keys in the database were sealed with another secret")

// SigningKey is a row: the private half of a key pair, sealed with AES-256-GCM under a key derived from the
// secret, the row's kid as additional data, so that rows cannot be swapped.
type SigningKey struct {
	Generation int64 `gorm:"primaryKey;autoIncrement:false"` // 1, 2, 3 …: two instances cannot both make the next one
	Kid        string
	Algorithm  Algorithm
	Sealed     []byte    // nonce ‖ ciphertext of the PKCS #8 private key
	CreatedAt  time.Time `gorm:"autoCreateTime:false"` // published from then on
	SignsFrom  time.Time // until the next key of the algorithm does
}

type key struct {
	kid       string
	algorithm Algorithm
	signsFrom time.Time
	private   crypto.Signer
	public    crypto.PublicKey
	jwk       PublicKey
}

// PublicKey is the public half as a JSON Web Key (RFC 7517). X and Y are base64url coordinates; Y is empty
// for Ed25519.
type PublicKey struct{ Kty, Crv, X, Y, Kid, Alg string }

func generate(algorithm Algorithm, aead cipher.AEAD) (SigningKey, error) {
	private, err := newPrivateKey(algorithm)
	if err != nil {
		return SigningKey{}, fmt.Errorf("make signing key: %w", err)
	}
	public, err := describe(private.Public(), algorithm)
	if err != nil {
		return SigningKey{}, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return SigningKey{}, fmt.Errorf("make signing key: %w", err)
	}
	return SigningKey{Kid: public.Kid, Algorithm: algorithm, Sealed: seal(aead, plain, public.Kid)}, nil
}

func seal(aead cipher.AEAD, plain []byte, kid string) []byte {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return aead.Seal(nonce, nonce, plain, []byte(kid))
}

func newPrivateKey(algorithm Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return nil, fmt.Errorf("unknown algorithm %q", algorithm)
	}
}

// unseal decrypts the private half of a row with the first of aeads that can, and tells which.
func unseal(row SigningKey, aeads []cipher.AEAD) (plain []byte, by int, err error) {
	for by, aead := range aeads {
		if len(row.Sealed) < aead.NonceSize() {
			break
		}
		plain, err := aead.Open(nil, row.Sealed[:aead.NonceSize()], row.Sealed[aead.NonceSize():], []byte(row.Kid))
		if err == nil {
			return plain, by, nil
		}
	}
	return nil, 0, fmt.Errorf("%w (key %s)", ErrSealed, row.Kid)
}

func open(row SigningKey, aeads []cipher.AEAD) (*key, error) {
	plain, _, err := unseal(row, aeads)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.Kid, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s cannot sign", row.Kid)
	}
	public, err := describe(private.Public(), row.Algorithm)
	if err != nil {
		return nil, err
	}
	return &key{kid: public.Kid, algorithm: row.Algorithm, signsFrom: row.SignsFrom, private: private, public: private.Public(), jwk: public}, nil
}

// describe is the public key as a JWK whose kid is its thumbprint (RFC 7638).
func describe(public crypto.PublicKey, algorithm Algorithm) (PublicKey, error) {
	set, err := jwk.FromRaw(public)
	if err != nil {
		return PublicKey{}, fmt.Errorf("describe signing key: %w", err)
	}
	thumbprint, err := set.Thumbprint(crypto.SHA256)
	if err != nil {
		return PublicKey{}, fmt.Errorf("describe signing key: %w", err)
	}
	described := PublicKey{Kty: set.KeyType().String(), Kid: base64url.EncodeToString(thumbprint), Alg: string(algorithm)}
	switch key := set.(type) {
	case jwk.ECDSAPublicKey:
		described.Crv, described.X, described.Y = key.Crv().String(), base64url.EncodeToString(key.X()), base64url.EncodeToString(key.Y())
	case jwk.OKPPublicKey:
		described.Crv, described.X = key.Crv().String(), base64url.EncodeToString(key.X())
	}
	return described, nil
}

func newAEAD(secret Secret) (cipher.AEAD, error) {
	block, err := aes.NewCipher(secret.key("signing key seal v1"))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}

func (k *key) signatureAlgorithm() jwa.SignatureAlgorithm { return jwa.SignatureAlgorithm(k.algorithm) }
