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

	"github.com/sesame-auth/sesame/internal/signing"
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

// AccessConfig configures AccessTokens. All fields are required.
type AccessConfig struct {
	Keys     *signing.Keyring
	Issuer   string        // the public URL, the claim iss
	Audience string        // the claim aud
	Lifetime time.Duration // from issue to expiry
	Now      func() time.Time
}

// AccessTokens issues and verifies access tokens. It is safe for concurrent use.
type AccessTokens struct {
	config   AccessConfig
	verifier *verify.Verifier
}

// NewAccessTokens returns AccessTokens for one issuer and audience.
func NewAccessTokens(config AccessConfig) *AccessTokens {
	verifier := verify.NewWithKeys(config.Issuer, config.Audience, config.Keys.PublicKey, verify.WithClock(config.Now))
	return &AccessTokens{config: config, verifier: verifier}
}

// Lifetime returns how long a token is valid after it was issued.
func (a *AccessTokens) Lifetime() time.Duration { return a.config.Lifetime }

type header struct {
	Algorithm signing.Algorithm `json:"alg"`
	Kid       string            `json:"kid"`
	Type      string            `json:"typ"`
}

// claims are those of RFC 9068, section 2.2, and the session's id (sid). They say nothing about the person.
// Times are seconds since 1970.
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
	text, err := a.issue(user, session, authTime)
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	return text, nil
}

func (a *AccessTokens) issue(user, session uuid.UUID, authTime time.Time) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", err
	}
	issued, key := a.config.Now(), a.config.Keys.Active()
	head, err := json.Marshal(header{Algorithm: key.Algorithm, Kid: key.Kid, Type: accessType})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims{
		Issuer: a.config.Issuer, Audience: a.config.Audience, Subject: user, Session: session, ID: id, ClientID: clientID,
		IssuedAt: issued.Unix(), ExpiresAt: issued.Add(a.config.Lifetime).Unix(), AuthTime: authTime.Unix(),
	})
	if err != nil {
		return "", err
	}
	signed := base64url.EncodeToString(head) + "." + base64url.EncodeToString(body)
	signer, err := jws.NewSigner(key.SignatureAlgorithm())
	if err != nil {
		return "", err
	}
	signature, err := signer.Sign([]byte(signed), key.Private)
	if err != nil {
		return "", err
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
