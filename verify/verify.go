// Package verify lets a service accept Sesame's access tokens by itself: it fetches the keys the server publishes,
// and checks each token with them, without asking anybody.
//
//	verifier, err := verify.New("https://auth.example.com", "https://api.example.com")
//	…
//	mux.Handle("GET /orders", verifier.Middleware(orders))
//
//	func (o Orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
//		claims, _ := verify.FromContext(r.Context())
//		// claims.Subject is the user's id.
//
// The issuer is the server's SESAME_PUBLIC_URL, the audience its SESAME_AUDIENCE; both must be equal to the letter.
// Middleware is net/http's; Echo takes it by echo.WrapMiddleware(verifier.Middleware).
//
// A verified token was issued to a user who had logged in. That the session was ended since, by a logout, a password
// reset or an operator, is not in the token: until it expires, after 15 minutes as the server is configured by
// default, it is accepted. Where that is too long, ask POST /auth.
//
// Keys are kept for as long as the server says, five minutes. A token under a key that is not known makes them be
// fetched before that, at most once a second, however many such tokens there are; one request at a time is under way.
// While the server cannot be reached, known keys go on being used for an hour from when they were last fetched: the
// tokens of an outage are over sooner, the rest is for a service that is cut off from a server which its clients
// still reach. It is bounded because what is not fetched is not revoked either.
//
// The package needs nothing but the standard library.
package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

const (
	// MaxToken is the longest text Verify reads, in bytes.
	MaxToken = 8 << 10
	// skew is how far the clocks of issuer and service may be apart.
	skew = 10 * time.Second
	// tokenType marks an access token (RFC 9068, section 2.1), so that no other JWT passes for one.
	tokenType = "at+jwt"
	// clientID is the claim's value: Sesame's users log in to Sesame itself, there are no other clients.
	clientID = "sesame"
)

var (
	// ErrToken says that a text is not an access token of the issuer for the audience, or not valid now. The cause is
	// for the log and must not be told to the bearer.
	ErrToken = errors.New("access token is not valid")
	// ErrKeys says that a token could not be judged because its key could not be fetched.
	ErrKeys = errors.New("the keys of the issuer cannot be fetched")
)

// Claims are what a valid access token says. It says nothing about the person.
type Claims struct {
	Subject   string    // the user's id, a UUID
	Session   string    // the session's id, a UUID: sid
	ID        string    // the token's id, a UUID: jti
	IssuedAt  time.Time // iat
	ExpiresAt time.Time // exp
	AuthTime  time.Time // auth_time: when the password was checked
}

// KeyFunc finds the public key that a token names, an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey. Errors:
// ErrToken if there is no such key; any other means that it is not known whether there is.
type KeyFunc func(ctx context.Context, kid string) (crypto.PublicKey, error)

// Verifier checks access tokens. It is safe for concurrent use.
type Verifier struct {
	issuer, audience string
	keys             KeyFunc
	now              func() time.Time
	transport        http.RoundTripper
}

// Option changes what a Verifier is made of.
type Option func(*Verifier)

// WithTransport fetches the keys through transport instead of http.DefaultTransport: for a proxy, or an authority of
// certificates that the system does not know.
func WithTransport(transport http.RoundTripper) Option {
	return func(v *Verifier) { v.transport = transport }
}

// WithClock tells the time by now instead of time.Now.
func WithClock(now func() time.Time) Option {
	return func(v *Verifier) { v.now = now }
}

// New verifies tokens that issuer wrote for audience, with the keys at issuer's /.well-known/jwks.json, which are
// fetched when the first token comes. issuer is https, or http on a loopback address.
func New(issuer, audience string, options ...Option) (*Verifier, error) {
	if err := checkIssuer(issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if audience == "" {
		return nil, errors.New("audience: must not be empty")
	}
	v := NewWithKeys(issuer, audience, nil, options...)
	v.keys = newKeySet(issuer+"/.well-known/jwks.json", v.transport, v.now).find
	return v, nil
}

// NewWithKeys verifies tokens that issuer wrote for audience with keys that come by another way than New's.
func NewWithKeys(issuer, audience string, keys KeyFunc, options ...Option) *Verifier {
	v := &Verifier{issuer: issuer, audience: audience, keys: keys, now: time.Now, transport: http.DefaultTransport}
	for _, option := range options {
		option(v)
	}
	return v
}

// Verify reads a token that is valid now (RFC 8725, RFC 9068 section 4). Errors: ErrToken, ErrKeys.
//
// The header is read before the signature because it names the key, and it may say nothing but what Sesame writes:
// crit, jku, x5u, jwk and their kin are refused with every other surprise. The algorithm is the key's; the token only
// has to agree.
func (v *Verifier) Verify(ctx context.Context, text string) (Claims, error) {
	if len(text) > MaxToken || strings.ContainsAny(text, "\r\n") { // base64 decoding would pass over line breaks
		return Claims{}, refused("too long, or broken into lines")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Claims{}, refused("not in compact form")
	}
	head, err := readHeader(parts[0])
	if err != nil {
		return Claims{}, err
	}
	key, err := v.keys(ctx, head.kid)
	switch {
	case errors.Is(err, ErrToken):
		return Claims{}, err
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil {
		return Claims{}, refused("signature encoding")
	}
	if !isSigned([]byte(text[:len(parts[0])+1+len(parts[1])]), signature, key, head.algorithm) {
		return Claims{}, refused("alg or signature")
	}
	said, err := readClaims(parts[1])
	if err != nil {
		return Claims{}, err
	}
	return v.check(said)
}

func (v *Verifier) check(said claims) (Claims, error) {
	switch {
	case said.issuer != v.issuer, said.audience != v.audience, said.client != clientID:
		return Claims{}, refused("iss, aud or client_id")
	case !isUUID(said.Subject), !isUUID(said.Session), !isUUID(said.ID):
		return Claims{}, refused("sub, sid or jti")
	}
	now := v.now()
	if !now.Before(said.ExpiresAt.Add(skew)) || now.Before(said.IssuedAt.Add(-skew)) {
		return Claims{}, refused("exp or iat")
	}
	return said.Claims, nil
}

// isSigned holds a signature against a key by the one algorithm of that key (RFC 7518, section 3.4; RFC 8037,
// section 3.1).
func isSigned(signed, signature []byte, key crypto.PublicKey, algorithm string) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if algorithm != "ES256" || key.Curve != elliptic.P256() || len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(signed)
		return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return algorithm == "EdDSA" && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed, signature)
	default:
		return false
	}
}

func refused(cause string) error { return fmt.Errorf("%w: %s", ErrToken, cause) }
