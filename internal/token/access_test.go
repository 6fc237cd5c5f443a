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

// A token is its issuer's, for its audience, and every change of a character, every cut and every addition is refused.
// What else is refused is package verify's to hold.
func TestAccessTokenIsCanonical(t *testing.T) {
	db := databasetest.New(t, databasetest.SQLite)
	ring, err := signing.Open(t.Context(), signing.Config{
		DB: db, Secrets: []secret.Secret{secret.Secret(strings.Repeat("s", 32))}, Algorithm: signing.EdDSA, TokenLifetime: 15 * time.Minute, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	const issuer, audience = "https://issuer.example", "https://audience.example"
	access := NewAccessTokens(AccessConfig{Keys: ring, Issuer: issuer, Audience: audience, Lifetime: 15 * time.Minute, Now: time.Now})
	user, session := uuid.New(), uuid.New()
	genuine, err := access.Issue(user, session, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if said, err := access.Verify(t.Context(), genuine); err != nil || said.User != user || said.Session != session {
		t.Errorf("the genuine token: %+v, %v", said, err)
	}
	for _, other := range [][2]string{{issuer + "/", audience}, {audience, audience}, {issuer, issuer}} {
		elsewhere := NewAccessTokens(AccessConfig{Keys: ring, Issuer: other[0], Audience: other[1], Lifetime: time.Minute, Now: time.Now})
		if _, err := elsewhere.Verify(t.Context(), genuine); !errors.Is(err, ErrAccess) {
			t.Errorf("%s for %s: %v", other[0], other[1], err)
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
