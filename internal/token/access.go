// Package token makes and checks the three types of token: access tokens, signed JWTs that anybody
// can verify with the published keys; refresh tokens, which only Sesame can read; and one-time
// tokens, which are sent by email. It does not know whether a token's session is still valid:
// package auth does.
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
	// accessType is the type of an access token (RFC 9068, section 2.1). No other JWT is accepted as
	// one.
	accessType = "at+jwt"
	// clientID is the claim client_id. Users log in to Sesame itself: there are no other clients.
	clientID = "sesame"
)

// ErrAccess is returned for an access token that is not authentic or not valid now. The wrapped
// cause is for tests, and must not be sent to the client.
var ErrAccess = errors.New("access token is not valid")

// Access is the content of an access token.
type Access struct {
	User, Session uuid.UUID
	AuthTime      time.Time // when the password was checked
	EmailVerified bool      // of the user, when the token was issued
}

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

// claims are those of RFC 9068, section 2.2, and the session's id (sid). They contain no personal
// data except the user's id. Times are seconds since 1970.
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

	EmailVerified bool `json:"email_verified"`
}

// Issue signs a token with this content.
func (a *AccessTokens) Issue(content Access) (string, error) {
	text, err := a.issue(content)
	if err != nil {
		return "", fmt.Errorf("issue access token: %w", err)
	}
	return text, nil
}

func (a *AccessTokens) issue(content Access) (string, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return "", err
	}
	issued, key := a.config.Now(), a.config.Keys.Active()
	payload, err := json.Marshal(claims{
		Issuer:    a.config.Issuer,
		Audience:  a.config.Audience,
		Subject:   content.User,
		Session:   content.Session,
		ID:        id,
		ClientID:  clientID,
		IssuedAt:  issued.Unix(),
		ExpiresAt: issued.Add(a.config.Lifetime).Unix(),
		AuthTime:  content.AuthTime.Unix(),

		EmailVerified: content.EmailVerified,
	})
	if err != nil {
		return "", err
	}
	header := jws.NewHeaders()
	if err := errors.Join(header.Set(jws.KeyIDKey, key.Kid), header.Set(jws.TypeKey, accessType)); err != nil {
		return "", err
	}
	signed, err := jws.Sign(payload, jws.WithKey(key.SignatureAlgorithm(), key.Private, jws.WithProtectedHeaders(header)))
	return string(signed), err
}

// Verify returns the content of a token that Issue signed with any of the keys, and that is valid
// now. It applies the same rules as services do (see package verify). It returns ErrAccess.
func (a *AccessTokens) Verify(ctx context.Context, text string) (Access, error) {
	content, err := a.verifier.Verify(ctx, text)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	user, err := uuid.Parse(content.Subject)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	session, err := uuid.Parse(content.Session)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	return Access{
		User: user, Session: session, AuthTime: content.AuthTime, EmailVerified: content.EmailVerified,
	}, nil
}
