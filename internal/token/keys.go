package token

import (
	"context"
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
	"slices"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
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
	Sealed     []byte // nonce ‖ ciphertext of the PKCS #8 private key
	CreatedAt  time.Time
}

// Keyring holds the opened keys: the newest of the wanted algorithm signs, every one verifies.
type Keyring struct {
	signing *key
	byKid   map[string]*key
	all     []*key // the signing key first
}

type key struct {
	kid       string
	algorithm Algorithm
	private   crypto.Signer
	public    crypto.PublicKey
	jwk       PublicKey
}

// PublicKey is the public half as a JSON Web Key (RFC 7517). X and Y are base64url coordinates; Y is empty
// for Ed25519.
type PublicKey struct{ Kty, Crv, X, Y, Kid, Alg string }

// OpenKeyring opens the keys in db and makes the first one of algorithm when there is none. Instances that
// start at once make one key and all open it. Errors: ErrSealed, and what the database says.
func OpenKeyring(ctx context.Context, db *gorm.DB, secret Secret, algorithm Algorithm, now func() time.Time) (*Keyring, error) {
	aead, err := newAEAD(secret)
	if err != nil {
		return nil, err
	}
	for {
		var rows []SigningKey
		if err := db.WithContext(ctx).Order("generation DESC").Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("load signing keys: %w", err)
		}
		if slices.ContainsFunc(rows, func(row SigningKey) bool { return row.Algorithm == algorithm }) {
			return open(rows, algorithm, aead)
		}
		row, err := generate(algorithm, aead)
		if err != nil {
			return nil, err
		}
		row.Generation, row.CreatedAt = 1, now().UTC().Truncate(time.Microsecond)
		if len(rows) > 0 {
			row.Generation = rows[0].Generation + 1
		}
		// Whoever inserts the generation first wins; the others find the winner's key in the next round.
		if err := db.WithContext(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return nil, fmt.Errorf("store signing key: %w", err)
		}
	}
}

// Public lists the public keys, the signing key first.
func (k *Keyring) Public() []PublicKey {
	keys := make([]PublicKey, len(k.all))
	for i, key := range k.all {
		keys[i] = key.jwk
	}
	return keys
}

func open(rows []SigningKey, algorithm Algorithm, aead cipher.AEAD) (*Keyring, error) {
	ring := &Keyring{byKid: make(map[string]*key, len(rows))}
	for _, row := range rows {
		key, err := unseal(row, aead)
		if err != nil {
			return nil, err
		}
		ring.byKid[key.kid] = key
		if ring.signing == nil && key.algorithm == algorithm {
			ring.signing, ring.all = key, slices.Insert(ring.all, 0, key)
			continue
		}
		ring.all = append(ring.all, key)
	}
	return ring, nil
}

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
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return SigningKey{Kid: public.Kid, Algorithm: algorithm, Sealed: aead.Seal(nonce, nonce, plain, []byte(public.Kid))}, nil
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

func unseal(row SigningKey, aead cipher.AEAD) (*key, error) {
	if len(row.Sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("%w (key %s)", ErrSealed, row.Kid)
	}
	plain, err := aead.Open(nil, row.Sealed[:aead.NonceSize()], row.Sealed[aead.NonceSize():], []byte(row.Kid))
	if err != nil {
		return nil, fmt.Errorf("%w (key %s)", ErrSealed, row.Kid)
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
	return &key{kid: public.Kid, algorithm: row.Algorithm, private: private, public: private.Public(), jwk: public}, nil
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
