package token

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// A token is its issuer's, for its audience, and every change of a character, every cut and every addition is refused.
// What else is refused is package verify's to hold.
func TestAccessTokenIsCanonical(t *testing.T) {
	db := databasetest.New(t, databasetest.SQLite)
	ring, err := OpenKeyring(t.Context(), db, Secrets{Secret(strings.Repeat("s", 32))}, EdDSA, 15*time.Minute, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	const issuer, audience = "https://issuer.example", "https://audience.example"
	access := NewAccessTokens(ring, issuer, audience, 15*time.Minute, time.Now)
	user, session := uuid.New(), uuid.New()
	genuine, err := access.Issue(user, session, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if said, err := access.Verify(t.Context(), genuine); err != nil || said.User != user || said.Session != session {
		t.Errorf("the genuine token: %+v, %v", said, err)
	}
	for _, other := range [][2]string{{issuer + "/", audience}, {audience, audience}, {issuer, issuer}} {
		if _, err := NewAccessTokens(ring, other[0], other[1], time.Minute, time.Now).Verify(t.Context(), genuine); !errors.Is(err, ErrAccess) {
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
