package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"

	"github.com/sesame-auth/sesame/internal/secret"
)

// Algorithm is a signature algorithm for access tokens (RFC 7518, section 3.1; RFC 8037, section
// 3.1).
type Algorithm string

// The supported algorithms.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
)

// Algorithms lists every Algorithm, the default first.
var Algorithms = []Algorithm{ES256, EdDSA}

// StoredKey is a row of the table signing_keys: the private half of a key pair, sealed under the
// installation's secret. The row's kid is the context, so rows cannot be swapped.
type StoredKey struct {
	Generation int64 `gorm:"primaryKey;autoIncrement:false"` // 1, 2, 3 …; only one instance can insert the next
	Kid        string
	Algorithm  Algorithm
	Sealed     []byte    // the PKCS #8 private key, sealed
	CreatedAt  time.Time `gorm:"autoCreateTime:false"` // the key is published from then on
	SignsFrom  time.Time // the key signs from then on, until the next key of its algorithm does
}

// TableName returns the table's name.
func (StoredKey) TableName() string { return "signing_keys" }

// Key is a decrypted key pair.
type Key struct {
	Kid       string // RFC 7638 thumbprint
	Algorithm Algorithm
	Private   crypto.Signer

	signsFrom time.Time
	jwk       JWK
}

// SignatureAlgorithm returns the algorithm as the jwx packages name it.
func (k *Key) SignatureAlgorithm() jwa.SignatureAlgorithm {
	return jwa.SignatureAlgorithm(k.Algorithm)
}

// JWK is a public key as a JSON Web Key (RFC 7517). X and Y are base64url coordinates; Y is empty
// for Ed25519.
type JWK struct{ Kty, Crv, X, Y, Kid, Alg string }

func generate(algorithm Algorithm, sealer secret.Sealer) (StoredKey, error) {
	private, err := newPrivateKey(algorithm)
	if err != nil {
		return StoredKey{}, fmt.Errorf("make signing key: %w", err)
	}
	public, err := newJWK(private.Public(), algorithm)
	if err != nil {
		return StoredKey{}, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return StoredKey{}, fmt.Errorf("make signing key: %w", err)
	}
	return StoredKey{Kid: public.Kid, Algorithm: algorithm, Sealed: sealer.Seal(plain, public.Kid)}, nil
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

// open decrypts and parses a stored key.
func open(row StoredKey, sealer secret.Sealer) (*Key, error) {
	plain, _, err := sealer.Open(row.Sealed, row.Kid)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.Kid, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.Kid, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s cannot sign", row.Kid)
	}
	public, err := newJWK(private.Public(), row.Algorithm)
	if err != nil {
		return nil, err
	}
	return &Key{Kid: public.Kid, Algorithm: row.Algorithm, Private: private, signsFrom: row.SignsFrom, jwk: public}, nil
}

// newJWK describes a public key as a JWK whose kid is its thumbprint (RFC 7638).
func newJWK(public crypto.PublicKey, algorithm Algorithm) (JWK, error) {
	key, err := jwk.FromRaw(public)
	if err != nil {
		return JWK{}, fmt.Errorf("describe signing key: %w", err)
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return JWK{}, fmt.Errorf("describe signing key: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	described := JWK{Kty: key.KeyType().String(), Kid: encode(thumbprint), Alg: string(algorithm)}
	switch key := key.(type) {
	case jwk.ECDSAPublicKey:
		described.Crv, described.X, described.Y = key.Crv().String(), encode(key.X()), encode(key.Y())
	case jwk.OKPPublicKey:
		described.Crv, described.X = key.Crv().String(), encode(key.X())
	}
	return described, nil
}
