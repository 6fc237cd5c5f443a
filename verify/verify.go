// Package verify verifies Sesame's access tokens in a service.
//
// It fetches the public keys of the server and checks each token with them, so a token can be
// verified without a request to the server. It depends only on the standard library.
//
//	verifier, err := verify.New("https://auth.example.com", "https://api.example.com")
//	// ...
//	mux.Handle("GET /orders", verifier.Middleware(orders))
//
// The arguments of [New] are the server's SESAME_PUBLIC_URL and SESAME_AUDIENCE. They must be
// exactly equal to these settings.
//
// [Verifier.Middleware] wraps a net/http handler, which gets the claims of the token from
// [FromContext]. Echo accepts the middleware through echo.WrapMiddleware. To check a token without
// HTTP, call [Verifier.Verify].
//
// [Verifier.RequireRecent] and [Verifier.RequireACR] protect sensitive operations: they require a
// recent login, or two factors (RFC 9470).
//
// A token has only one accepted spelling: no part of it can be changed, cut or extended, not even
// its ES256 signature, of which other libraries accept two forms.
//
// # Revoked sessions
//
// A valid token was issued to a user who had logged in. The session may have been revoked since, by
// a logout, a password reset or an operator: its tokens are accepted until they expire, after 15
// minutes by default. If that is too long, call POST /auth of the server instead.
//
// # Keys
//
// Keys are cached for as long as the server allows, which is five minutes. If a token has an
// unknown key, they are fetched earlier, but at most once a second, whatever tokens arrive. Only
// keys for ES256 (on P-256) and EdDSA (Ed25519) are used; others are ignored.
//
// If the server cannot be reached, cached keys are used for up to an hour after they were fetched.
// This helps a service that cannot reach the server while its clients can; if the server is down,
// the tokens expire first. The time is limited because the service does not notice that a key was
// revoked.
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
	// MaxTokenSize is the maximum length of a token, in bytes.
	MaxTokenSize = 8 << 10
	// maxAhead is how far in the future a token may have been issued: the clock of the server that
	// issued it may be ahead. No token is accepted after its exp.
	maxAhead = time.Minute
	// tokenType is the typ of an access token (RFC 9068, section 2.1). Other JWTs have another one.
	tokenType = "at+jwt"
	// clientID is the claim client_id. It is constant, because users log in to Sesame itself.
	clientID = "sesame"
)

var (
	// ErrInvalidToken is returned if a token is malformed, expired, not signed by the issuer or not
	// for the audience. Errors that wrap it contain the reason. Log it, but do not return it to the
	// client.
	ErrInvalidToken = errors.New("access token is not valid")
	// ErrKeysUnavailable is returned if a token could not be verified because the keys could not be
	// fetched.
	ErrKeysUnavailable = errors.New("the keys of the issuer cannot be fetched")
)

// Claims are the claims of a verified access token. The ids are UUIDs. There is no personal data,
// such as the email.
type Claims struct {
	Subject   string    // sub: the id of the user
	Session   string    // sid: the id of the session
	ID        string    // jti: the id of the token
	IssuedAt  time.Time // iat
	ExpiresAt time.Time // exp
	AuthTime  time.Time // auth_time: when the user last proved the identity, by a login or by reauthenticate

	// AMR is amr: how the user did (RFC 8176). The values are "pwd" (a password), "otp" (a code of an
	// authenticator app), "pop" and "user" (a passkey), and "mfa" (two factors, also with a recovery
	// code). Others may be added.
	AMR []string
	// ACR is acr: "aal1" if the user used one factor, "aal2" if two (NIST SP 800-63B-4).
	ACR string

	// EmailVerified is email_verified: whether the user had proved to own the email of the account
	// when the token was issued.
	EmailVerified bool
}

// ValidAt reports whether the token is valid at this time: it has not expired, and was not issued
// more than a minute later. Use it to check again the claims of a token that was verified earlier,
// for example during a long connection.
func (c Claims) ValidAt(now time.Time) bool {
	return now.Before(c.ExpiresAt) && !now.Before(c.IssuedAt.Add(-maxAhead))
}

// KeyFunc returns the public key with the id kid, an *ecdsa.PublicKey on P-256 or an
// ed25519.PublicKey. It returns ErrInvalidToken if there is no such key, and any other error if the
// key could not be looked up.
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

// WithTransport fetches the keys with transport instead of http.DefaultTransport, for example to
// use a proxy or to trust another certificate authority.
func WithTransport(transport http.RoundTripper) Option {
	return func(v *Verifier) { v.transport = transport }
}

// WithClock uses now instead of time.Now, for example in tests.
func WithClock(now func() time.Time) Option {
	return func(v *Verifier) { v.now = now }
}

// New returns a Verifier of tokens that issuer issued for audience. It does not send a request: the
// keys are fetched from /.well-known/jwks.json of the issuer when the first token is verified.
//
// The issuer must be an https URL without a trailing slash. For development, http is allowed with
// localhost or a loopback address.
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

// NewWithKeys returns a Verifier that gets the keys from keys instead of fetching them.
func NewWithKeys(issuer, audience string, keys KeyFunc, options ...Option) *Verifier {
	v := &Verifier{issuer: issuer, audience: audience, keys: keys, now: time.Now, transport: http.DefaultTransport}
	for _, option := range options {
		option(v)
	}
	return v
}

// Verify verifies a token and returns its claims (RFC 8725; RFC 9068, section 4). The error wraps
// ErrInvalidToken if the token is not valid, or ErrKeysUnavailable if it could not be verified.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	if len(token) > MaxTokenSize || strings.ContainsAny(token, "\r\n") { // base64 decoding ignores line breaks
		return Claims{}, refused("too long, or broken into lines")
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Claims{}, refused("not in compact form")
	}
	// The header is not authenticated yet, but it names the key. Nothing else of it is used: the key
	// determines the algorithm.
	head, err := readHeader(parts[0])
	if err != nil {
		return Claims{}, err
	}
	key, err := v.keys(ctx, head.kid)
	switch {
	case errors.Is(err, ErrInvalidToken):
		return Claims{}, err
	case err != nil:
		return Claims{}, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil {
		return Claims{}, refused("signature encoding")
	}
	signed := token[:strings.LastIndexByte(token, '.')]
	if !isSigned([]byte(signed), signature, key, head.algorithm) {
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
	if !content.ValidAt(v.now()) {
		return Claims{}, refused("exp or iat")
	}
	return content.Claims, nil
}

// halfOrder is half of the order n of P-256, rounded down.
var halfOrder = new(big.Int).Rsh(elliptic.P256().Params().N, 1)

// isSigned verifies a signature with the only algorithm that the key allows (RFC 7518, section 3.4;
// RFC 8037, section 3.1).
//
// Of an ES256 signature (r, s), anybody can make the signature (r, n-s), which ECDSA accepts too.
// Only the one with the lower s is accepted, so that a token cannot be changed into another one.
func isSigned(signed, signature []byte, key crypto.PublicKey, algorithm string) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if algorithm != "ES256" || key.Curve != elliptic.P256() || len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(signed)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return s.Cmp(halfOrder) <= 0 && ecdsa.Verify(key, digest[:], r, s)
	case ed25519.PublicKey:
		return algorithm == "EdDSA" && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed, signature)
	default:
		return false
	}
}

// refused returns an ErrInvalidToken with its cause.
func refused(cause string) error { return fmt.Errorf("%w: %s", ErrInvalidToken, cause) }
