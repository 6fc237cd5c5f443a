// Package token makes and checks the three kinds of token Sesame hands out: access tokens, signed JWTs that
// anybody can verify with the published keys; refresh tokens, which only Sesame reads; and one-time tokens,
// which are mailed. It knows what a token says, not whether its session still lives: that is auth's.
package token

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sesame-auth/sesame/verify"
)

const (
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
	verifier         *verify.Verifier
	issuer, audience string
	lifetime         time.Duration
	now              func() time.Time
}

// NewAccessTokens issues tokens under keys, in the name of issuer (its URL), for audience, valid for
// lifetime.
func NewAccessTokens(keys *Keyring, issuer, audience string, lifetime time.Duration, now func() time.Time) *AccessTokens {
	verifier := verify.NewWithKeys(issuer, audience, keys.byKid, verify.WithClock(now))
	return &AccessTokens{keys: keys, verifier: verifier, issuer: issuer, audience: audience, lifetime: lifetime, now: now}
}

// Lifetime is how long a token is valid from its issue.
func (a *AccessTokens) Lifetime() time.Duration { return a.lifetime }

type header struct {
	Algorithm Algorithm `json:"alg"`
	Kid       string    `json:"kid"`
	Type      string    `json:"typ"`
}

// claims are those of RFC 9068, section 2.2, and the session's id (sid). Nothing about the person. Times
// are seconds since 1970.
type claims struct {
	Issuer    string    `json:"iss"`
	Audience  string    `json:"aud"`
	Subject   uuid.UUID `json:"sub"`
	Session   uuid.UUID `json:"sid"`
	ID        uuid.UUID `json:"jti"`
	ClientID  string    `json:"client_id"`
	IssuedAt  int64     `json:"iat"`
	ExpiresAt int64     `json:"exp"`
	AuthTime  int64     `json:"auth_time"`
}

// Issue signs a token for a session of user whose password was checked at authTime.
func (a *AccessTokens) Issue(user, session uuid.UUID, authTime time.Time) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	issued := a.now()
	key := a.keys.signing()
	head, err := json.Marshal(header{Algorithm: key.algorithm, Kid: key.kid, Type: accessType})
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	body, err := json.Marshal(claims{
		Issuer: a.issuer, Audience: a.audience, Subject: user, Session: session, ID: id, ClientID: clientID,
		IssuedAt: issued.Unix(), ExpiresAt: issued.Add(a.lifetime).Unix(), AuthTime: authTime.Unix(),
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

// Verify reads a token that Issue wrote under any of the keys and that is valid now, by the rules that services
// elsewhere go by (see package verify). Errors: ErrAccess.
func (a *AccessTokens) Verify(ctx context.Context, text string) (Access, error) {
	said, err := a.verifier.Verify(ctx, text)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	user, err := uuid.Parse(said.Subject)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	session, err := uuid.Parse(said.Session)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	return Access{User: user, Session: session}, nil
}
