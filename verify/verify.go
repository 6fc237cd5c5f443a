// Package verify verifies Sesame's access tokens in a service. It fetches the public keys of the server and checks each
// token with them, without a request for each token. It needs only the standard library.
//
//	verifier, err := verify.New("https://auth.example.com", "https://api.example.com")
//	…
//	mux.Handle("GET /orders", verifier.Middleware(orders))
//
// The handler finds the user in [FromContext]. The first argument of [New] is the server's SESAME_PUBLIC_URL, the second
// its SESAME_AUDIENCE; both must be exactly equal. The middleware is for net/http. Echo accepts it through
// echo.WrapMiddleware.
//
// # What a token does not say
//
// A verified token was issued to a user who had logged in. It does not say whether the session has ended since, by a
// logout, a password reset or an operator: the token is accepted until it expires, after 15 minutes by default. If that is
// too long, call POST /auth.
//
// # Keys
//
// Keys are cached for as long as the server says: five minutes. A token with an unknown key causes an earlier fetch, at
// most once a second, however many such tokens there are, and only one request runs at a time.
//
// While the server is unreachable, known keys are used for up to an hour after they were last fetched. Tokens expire sooner
// than that in an outage; the hour is for a service that cannot reach the server while its clients can. It is limited
// because a service that cannot fetch the keys does not notice a revoked one either.
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
	// MaxToken is the maximum length of a token, in bytes.
	MaxToken = 8 << 10
	// skew is how much the clocks of the server and the service may differ.
	skew = 10 * time.Second
	// tokenType is the type of an access token (RFC 9068, section 2.1), so that no other JWT is accepted as one.
	tokenType = "at+jwt"
	// clientID is the claim client_id: users log in to Sesame itself, there are no other clients.
	clientID = "sesame"
)

var (
	// ErrToken is returned for a text that is not an access token of the issuer for the audience, or not valid now. The
	// wrapped cause is for the log; the client must not learn it.
	ErrToken = errors.New("access token is not valid")
	// ErrKeys is returned if a token could not be verified because its key could not be fetched.
	ErrKeys = errors.New("the keys of the issuer cannot be fetched")
)

// Claims are the content of a valid access token. They contain nothing about the person.
type Claims struct {
	Subject   string    // the user's id, a UUID
	Session   string    // the session's id, a UUID: sid
	ID        string    // the token's id, a UUID: jti
	IssuedAt  time.Time // iat
	ExpiresAt time.Time // exp
	AuthTime  time.Time // auth_time: when the password was checked
}

// KeyFunc returns the public key with a kid: an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey. It returns ErrToken if
// there is no such key. Any other error means that it is not known whether there is one.
type KeyFunc func(ctx context.Context, kid string) (crypto.PublicKey, error)

// Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	issuer, audience string
	keys             KeyFunc
	now              func() time.Time
	transport        http.RoundTripper
}

// Option configures a Verifier.
type Option func(*Verifier)

// WithTransport fetches the keys through transport instead of http.DefaultTransport, for example to use a proxy or to trust
// another certificate authority.
func WithTransport(transport http.RoundTripper) Option {
	return func(v *Verifier) { v.transport = transport }
}

// WithClock uses now instead of time.Now.
func WithClock(now func() time.Time) Option {
	return func(v *Verifier) { v.now = now }
}

// New returns a Verifier for tokens that issuer made for audience. It fetches the keys from /.well-known/jwks.json of the
// issuer when it gets the first token. It returns an error unless issuer is an https URL, or an http URL with a loopback
// address, without a trailing slash.
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

// NewWithKeys returns a Verifier that gets its keys from a function.
func NewWithKeys(issuer, audience string, keys KeyFunc, options ...Option) *Verifier {
	v := &Verifier{issuer: issuer, audience: audience, keys: keys, now: time.Now, transport: http.DefaultTransport}
	for _, option := range options {
		option(v)
	}
	return v
}

// Verify returns the claims of a token that is valid now (RFC 8725; RFC 9068, section 4). It returns ErrToken or ErrKeys.
//
// The header is read before the signature is checked, because it names the key. It may contain only what Sesame writes:
// crit, jku, x5u, jwk and everything else are refused. The algorithm is determined by the key; the token must name the same
// one.
func (v *Verifier) Verify(ctx context.Context, text string) (Claims, error) {
	if len(text) > MaxToken || strings.ContainsAny(text, "\r\n") { // base64 decoding ignores line breaks
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
	content, err := readClaims(parts[1])
	if err != nil {
		return Claims{}, err
	}
	return v.check(content)
}

func (v *Verifier) check(content claims) (Claims, error) {
	switch {
	case content.issuer != v.issuer, content.audience != v.audience, content.client != clientID:
		return Claims{}, refused("iss, aud or client_id")
	case !isUUID(content.Subject), !isUUID(content.Session), !isUUID(content.ID):
		return Claims{}, refused("sub, sid or jti")
	}
	now := v.now()
	if !now.Before(content.ExpiresAt.Add(skew)) || now.Before(content.IssuedAt.Add(-skew)) {
		return Claims{}, refused("exp or iat")
	}
	return content.Claims, nil
}

// isSigned verifies a signature with the one algorithm of the key (RFC 7518, section 3.4; RFC 8037, section 3.1).
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
