package token

import (
	"crypto/elliptic"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
)

const (
	issuer   = "https://issuer.example"
	audience = "https://audience.example"
)

// newAccessTokens returns AccessTokens with a new key.
func newAccessTokens(t *testing.T, algorithm signing.Algorithm) *AccessTokens {
	t.Helper()
	return newAccessTokensAt(t, algorithm, time.Now)
}

// newAccessTokensAt returns AccessTokens with a new key and a clock.
func newAccessTokensAt(t *testing.T, algorithm signing.Algorithm, now func() time.Time) *AccessTokens {
	t.Helper()
	const lifetime = 15 * time.Minute
	ring, err := signing.Open(t.Context(), signing.Config{
		DB:        databasetest.New(t, databasetest.SQLite),
		Secrets:   []secret.Secret{secret.Secret(strings.Repeat("s", 32))},
		Algorithm: algorithm, TokenLifetime: lifetime, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewAccessTokens(AccessConfig{
		Keys: ring, Issuer: issuer, Audience: audience, Lifetime: lifetime, Now: now,
	})
}

// A token is refused for another issuer or audience, and after any change, cut or extension.
// Package verify tests the rest.
func TestAccessTokenIsCanonical(t *testing.T) {
	for _, algorithm := range signing.Algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			access := newAccessTokens(t, algorithm)
			user, session := uuid.New(), uuid.New()
			genuine, err := access.Issue(Access{User: user, Session: session, AuthTime: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := access.Verify(t.Context(), genuine); err != nil || got.User != user || got.Session != session {
				t.Errorf("the genuine token: %+v, %v", got, err)
			}
			for _, other := range []struct{ issuer, audience string }{
				{issuer + "/", audience}, {audience, audience}, {issuer, issuer},
			} {
				config := access.config
				config.Issuer, config.Audience = other.issuer, other.audience
				if _, err := NewAccessTokens(config).Verify(t.Context(), genuine); !errors.Is(err, ErrAccess) {
					t.Errorf("%+v: %v", other, err)
				}
			}
			refuse := func(changed string) {
				t.Helper()
				if _, err := access.Verify(t.Context(), changed); !errors.Is(err, ErrAccess) {
					t.Errorf("%q: %v", changed, err)
				}
			}
			const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~ \n\x00"
			for at := range len(genuine) {
				refuse(genuine[:at])
				refuse(genuine[at+1:])
				refuse(genuine[:at] + genuine[at+1:])
				refuse(genuine[:at] + "=" + genuine[at:])
				for _, character := range []byte(characters) {
					if character != genuine[at] {
						refuse(genuine[:at] + string(character) + genuine[at+1:])
					}
				}
			}
			for _, character := range []byte(characters) {
				refuse(genuine + string(character))
				refuse(string(character) + genuine)
			}
			refuse(genuine + "AA")
			refuse(genuine + genuine)
			refuse(strings.ToUpper(genuine))
		})
	}
}

// Of the two signatures that ECDSA accepts for each that a key makes, the server makes only the one
// that package verify accepts. It does not accept the other.
func TestSignaturesHaveALowS(t *testing.T) {
	access := newAccessTokens(t, signing.ES256)
	order := elliptic.P256().Params().N
	for range 50 { // without the guard, half of them would have a high s
		genuine, err := access.Issue(Access{User: uuid.New(), Session: uuid.New(), AuthTime: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := access.Verify(t.Context(), genuine); err != nil {
			t.Error(err)
		}
		dot := strings.LastIndexByte(genuine, '.')
		signature, err := base64url.DecodeString(genuine[dot+1:])
		if err != nil || len(signature) != 64 {
			t.Fatalf("a signature of %d bytes, %v", len(signature), err)
		}
		s := new(big.Int).SetBytes(signature[32:])
		new(big.Int).Sub(order, s).FillBytes(signature[32:])
		twin := genuine[:dot+1] + base64url.EncodeToString(signature)
		if _, err := access.Verify(t.Context(), twin); !errors.Is(err, ErrAccess) {
			t.Errorf("the twin: %v", err)
		}
	}
}
