// Package token makes and checks the three kinds of token Sesame hands out: access tokens, signed JWTs that
// anybody can verify with the published keys; refresh tokens, which only Sesame reads; and one-time tokens,
// which are mailed. It knows what a token says, not whether its session still lives: that is auth's.
package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v2/jws"
)

const (
	// MaxAccessToken is the longest text Verify reads, in bytes.
	MaxAccessToken = 8 << 10
	// skew is how far the clocks of two instances may be apart.
	skew = 10 * time.Second
	// accessType marks an access token (RFC 9068, section 2.1), so that no other JWT passes for one.
	accessType = "at+jwt"
	// clientID is the claim's value: Sesame's users log in to Sesame itself, there are no other clients.
	clientID = "sesame"
)

// ErrAccess says that an access token is not one of ours, or not valid now. The cause is for tests and
// must not be told to the bearer.
var ErrAccess = errors.New("access token is not valid")

// Access is what a valid access token says.
type Access struct{ User, Session uuid.UUID }

// AccessTokens issues and verifies access tokens.
type AccessTokens struct {
	keys             *Keyring
	issuer, audience string
	lifetime         time.Duration
	now              func() time.Time
}

// NewAccessTokens issues tokens under keys, in the name of issuer (its URL), for audience, valid for
// lifetime.
func NewAccessTokens(keys *Keyring, issuer, audience string, lifetime time.Duration, now func() time.Time) *AccessTokens {
	return &AccessTokens{keys: keys, issuer: issuer, audience: audience, lifetime: lifetime, now: now}
}

// Lifetime is how long a token is valid from its issue.
func (a *AccessTokens) Lifetime() time.Duration { return a.lifetime }

type header struct {
	Algorithm Algorithm `json:"alg"`
	Kid       string    `json:"kid"`
	Type      string    `json:"typ"`
}

// claims are those of RFC 9068, section 2.2, and the session's id (sid). Nothing about the person. Times
// are seconds since 1970. Pointers tell an absent claim from zero.
type claims struct {
	Issuer    *string    `json:"iss"`
	Audience  *string    `json:"aud"`
	Subject   *uuid.UUID `json:"sub"`
	Session   *uuid.UUID `json:"sid"`
	ID        *uuid.UUID `json:"jti"`
	ClientID  *string    `json:"client_id"`
	IssuedAt  *int64     `json:"iat"`
	ExpiresAt *int64     `json:"exp"`
	AuthTime  *int64     `json:"auth_time"`
}

// Issue signs a token for a session of user whose password was checked at authTime.
func (a *AccessTokens) Issue(user, session uuid.UUID, authTime time.Time) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	client, issued := clientID, a.now()
	iat, exp, auth := issued.Unix(), issued.Add(a.lifetime).Unix(), authTime.Unix()
	key := a.keys.signing()
	head, err := json.Marshal(header{Algorithm: key.algorithm, Kid: key.kid, Type: accessType})
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	body, err := json.Marshal(claims{
		Issuer: &a.issuer, Audience: &a.audience, Subject: &user, Session: &session, ID: &id,
		ClientID: &client, IssuedAt: &iat, ExpiresAt: &exp, AuthTime: &auth,
	})
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	signed := base64url.EncodeToString(head) + "." + base64url.EncodeToString(body)
	signer, err := jws.NewSigner(key.signatureAlgorithm())
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	signature, err := signer.Sign([]byte(signed), key.private)
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	return signed + "." + base64url.EncodeToString(signature), nil
}

// Verify reads a token that Issue wrote under any of the keys and that is valid now (RFC 8725, RFC 9068
// section 4). Errors: ErrAccess.
//
// The header is read before the signature because it names the key, and it may say nothing but what Issue
// writes: crit, jku, x5u, jwk and their kin are refused with every other surprise. The algorithm is the
// key's; the token only has to agree.
func (a *AccessTokens) Verify(ctx context.Context, text string) (Access, error) {
	if len(text) > MaxAccessToken || strings.ContainsAny(text, "\r\n") { // base64 decoding would pass over line breaks
		return Access{}, refused("too long, or broken into lines")
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Access{}, refused("not in compact form")
	}
	var head header
	if err := decode(parts[0], &head, json.RejectUnknownMembers(true)); err != nil {
		return Access{}, refused("header")
	}
	key, known := a.keys.byKid(ctx, head.Kid)
	if !known || head.Algorithm != key.algorithm || head.Type != accessType {
		return Access{}, refused("kid, alg or typ")
	}
	signature, err := base64url.DecodeString(parts[2])
	if err != nil {
		return Access{}, refused("signature encoding")
	}
	verifier, err := jws.NewVerifier(key.signatureAlgorithm())
	if err != nil {
		return Access{}, refused("algorithm")
	}
	if err := verifier.Verify([]byte(text[:len(parts[0])+1+len(parts[1])]), signature, key.public); err != nil {
		return Access{}, refused("signature")
	}
	var said claims
	if err := decode(parts[1], &said); err != nil {
		return Access{}, refused("claims")
	}
	return a.check(said)
}

func (a *AccessTokens) check(said claims) (Access, error) {
	switch {
	case said.Issuer == nil || said.Audience == nil || said.Subject == nil || said.Session == nil || said.ID == nil ||
		said.ClientID == nil || said.IssuedAt == nil || said.ExpiresAt == nil || said.AuthTime == nil:
		return Access{}, refused("a claim is missing")
	case *said.Issuer != a.issuer, *said.Audience != a.audience, *said.ClientID != clientID:
		return Access{}, refused("iss, aud or client_id")
	case *said.Subject == uuid.Nil, *said.Session == uuid.Nil, *said.ID == uuid.Nil:
		return Access{}, refused("sub, sid or jti")
	}
	now, expires := a.now(), time.Unix(*said.ExpiresAt, 0)
	if !now.Before(expires.Add(skew)) || now.Before(time.Unix(*said.IssuedAt, 0).Add(-skew)) {
		return Access{}, refused("exp or iat")
	}
	return Access{User: *said.Subject, Session: *said.Session}, nil
}

// decode reads one part of a token: canonical base64url of one JSON object, names once and in their case.
func decode(part string, into any, options ...json.Options) error {
	raw, err := base64url.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into, options...)
}

func refused(cause string) error { return fmt.Errorf("%w: %s", ErrAccess, cause) }
