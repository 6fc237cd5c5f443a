package token

import (
	"errors"
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
	const lifetime = 15 * time.Minute
	ring, err := signing.Open(t.Context(), signing.Config{
		DB:        databasetest.New(t, databasetest.SQLite),
		Secrets:   []secret.Secret{secret.Secret(strings.Repeat("s", 32))},
		Algorithm: algorithm, TokenLifetime: lifetime, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewAccessTokens(AccessConfig{
		Keys: ring, Issuer: issuer, Audience: audience, Lifetime: lifetime, Now: time.Now,
	})
}

// A token is refused for another issuer or audience, and after any change, deletion or insertion of
// a character. Package verify tests the rest.
func TestAccessTokenIsCanonical(t *testing.T) {
	access := newAccessTokens(t, signing.EdDSA)
	user, session := uuid.New(), uuid.New()
	genuine, err := access.Issue(user, session, time.Now())
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
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for at := range len(genuine) {
		changes := []string{genuine[:at], genuine[:at] + "=" + genuine[at:], genuine[:at] + genuine[at+1:]}
		if i := strings.IndexByte(alphabet, genuine[at]); i >= 0 {
			changes = append(changes, genuine[:at]+string(alphabet[i^1])+genuine[at+1:])
		}
		for _, changed := range changes {
			if _, err := access.Verify(t.Context(), changed); !errors.Is(err, ErrAccess) {
				t.Fatalf("at %d: %q: %v", at, changed, err)
			}
		}
	}
}
