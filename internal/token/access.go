// Package token makes and checks the three types of token: access tokens, signed JWTs that anybody
// can verify with the published keys; refresh tokens, which only Sesame can read; and one-time
// tokens, which are sent by email. It does not know whether a token's session is still valid:
// package auth does.
package token

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
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
	AuthTime      time.Time // when the user last proved the identity
	Methods       Methods   // how
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
	verified *verifiedTokens
}

// NewAccessTokens returns AccessTokens for one issuer and audience.
func NewAccessTokens(config AccessConfig) *AccessTokens {
	return &AccessTokens{config: config, verified: newVerifiedTokens()}
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
	AMR       []string  `json:"amr"`
	ACR       string    `json:"acr"`

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
		AMR:       content.Methods.AMR(),
		ACR:       content.Methods.ACR(),

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
//
// The signature and the claims of a token are verified once. Later calls check what can change: the
// key may be gone, and the clock has moved.
func (a *AccessTokens) Verify(ctx context.Context, text string) (Access, error) {
	sum := sha256.Sum256([]byte(text))
	known := a.verified.find(sum)
	if known == nil || !a.isStillValid(ctx, known) {
		var err error
		if known, err = a.verify(ctx, text); err != nil {
			return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
		}
		a.verified.add(sum, known)
	}
	content := known.claims
	user, err := uuid.Parse(content.Subject)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	session, err := uuid.Parse(content.Session)
	if err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrAccess, err)
	}
	return Access{
		User: user, Session: session, EmailVerified: content.EmailVerified,
		AuthTime: content.AuthTime, Methods: Methods(strings.Join(content.AMR, " ")),
	}, nil
}

// verify verifies a token completely.
func (a *AccessTokens) verify(ctx context.Context, text string) (*verified, error) {
	var kid string
	var key crypto.PublicKey
	find := func(ctx context.Context, id string) (_ crypto.PublicKey, err error) {
		kid = id
		key, err = a.config.Keys.PublicKey(ctx, id)
		return key, err
	}
	claims, err := verify.NewWithKeys(a.config.Issuer, a.config.Audience, find, verify.WithClock(a.config.Now)).
		Verify(ctx, text)
	if err != nil {
		return nil, err
	}
	public, ok := key.(publicKey)
	if !ok {
		return nil, fmt.Errorf("a %T is not a public key", key)
	}
	return &verified{claims: claims, kid: kid, key: public}, nil
}

// isStillValid reports whether a token that was verified earlier is valid now: its key is still one
// of the keys, and the time is between its iat and its exp.
func (a *AccessTokens) isStillValid(ctx context.Context, token *verified) bool {
	key, err := a.config.Keys.PublicKey(ctx, token.kid)
	return err == nil && token.key.Equal(key) && token.claims.ValidAt(a.config.Now())
}
