package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
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

// allows reports whether public is a key for the algorithm: ES256 is only for P-256 (RFC 7518,
// section 3.4), and EdDSA, here, only for Ed25519.
func (a Algorithm) allows(public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return a == ES256 && key.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return a == EdDSA
	default:
		return false
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
	if key, ok := private.(*ecdsa.PrivateKey); ok {
		private = lowS{key}
	}
	return &Key{Kid: public.Kid, Algorithm: row.Algorithm, Private: private, signsFrom: row.SignsFrom, jwk: public}, nil
}

// lowS signs like its key, but makes only those signatures that package verify accepts: of (r, s)
// and (r, n-s), which ECDSA both accepts, the one with the lower s.
type lowS struct{ *ecdsa.PrivateKey }

// Sign returns a signature in ASN.1, as crypto.Signer requires.
func (k lowS) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	signed, err := k.PrivateKey.Sign(random, digest, options)
	if err != nil {
		return nil, err
	}
	var signature struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signed, &signature); err != nil {
		return nil, err
	}
	if twin := new(big.Int).Sub(k.Params().N, signature.S); twin.Cmp(signature.S) < 0 {
		signature.S = twin
	}
	return asn1.Marshal(signature)
}

// newJWK describes a public key as a JWK whose kid is its thumbprint (RFC 7638). It returns an
// error if the key is not for the algorithm.
func newJWK(public crypto.PublicKey, algorithm Algorithm) (JWK, error) {
	if !algorithm.allows(public) {
		return JWK{}, fmt.Errorf("describe signing key: a %T is not a key for %s", public, algorithm)
	}
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
