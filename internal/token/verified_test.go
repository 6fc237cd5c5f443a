package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/clocktest"
	"github.com/sesame-auth/sesame/internal/signing"
)

// issue returns a new token and its content.
func issue(t *testing.T, access *AccessTokens) (string, Access) {
	t.Helper()
	content := Access{
		User: uuid.New(), Session: uuid.New(), AuthTime: time.Unix(access.config.Now().Unix(), 0), EmailVerified: true,
	}
	text, err := access.Issue(content)
	if err != nil {
		t.Fatal(err)
	}
	return text, content
}

// issueVerified returns a token that was verified, and its content.
func issueVerified(t *testing.T, access *AccessTokens) (string, Access) {
	t.Helper()
	text, content := issue(t, access)
	if got, err := access.Verify(t.Context(), text); err != nil || got != content {
		t.Fatalf("%+v, %v; want %+v", got, err, content)
	}
	if access.verified.find(sha256.Sum256([]byte(text))) == nil {
		t.Fatal("the token is not remembered")
	}
	return text, content
}

// A token that was verified is not verified again, and its content stays the same.
func TestTokensAreVerifiedOnce(t *testing.T) {
	for _, algorithm := range signing.Algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			access := newAccessTokens(t, algorithm)
			text, content := issueVerified(t, access)
			if got, err := access.Verify(t.Context(), text); err != nil || got != content {
				t.Errorf("%+v, %v; want %+v", got, err, content)
			}
			remembered := access.verified.find(sha256.Sum256([]byte(text)))
			changed := uuid.New()
			remembered.claims.Session = changed.String()
			if got, err := access.Verify(t.Context(), text); err != nil || got.Session != changed {
				t.Errorf("verified again: %+v, %v", got, err)
			}
		})
	}
}

// A token that was verified is refused at its exp, and while the clock is behind its iat by more
// than a minute.
func TestVerifiedTokenAndClock(t *testing.T) {
	clock := clocktest.At(time.Unix(2_000_000_000, 0))
	access := newAccessTokensAt(t, signing.ES256, clock.Now)
	text, _ := issueVerified(t, access)
	for _, step := range []struct {
		advance time.Duration
		valid   bool
	}{
		{15*time.Minute - 1, true},
		{1, false},
		{-15 * time.Minute, true},
		{-time.Minute, true},
		{-1, false},
		{1, true},
		{time.Hour, false},
	} {
		clock.Advance(step.advance)
		_, err := access.Verify(t.Context(), text)
		if (err == nil) != step.valid || err != nil && !errors.Is(err, ErrAccess) {
			t.Errorf("at %s: %v", clock.Now(), err)
		}
	}
}

// A token that was verified is refused as soon as its key is gone.
func TestVerifiedTokenOfRevokedKey(t *testing.T) {
	access := newAccessTokens(t, signing.ES256)
	text, _ := issueVerified(t, access)
	if err := access.config.Keys.Revoke(t.Context(), access.config.Keys.Active().Kid); err != nil {
		t.Fatal(err)
	}
	if _, err := access.Verify(t.Context(), text); !errors.Is(err, ErrAccess) {
		t.Error(err)
	}
}

// A token that was verified with another key of the same kid is verified again.
func TestVerifiedTokenOfAnotherKey(t *testing.T) {
	access := newAccessTokens(t, signing.ES256)
	text, content := issueVerified(t, access)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	remembered := access.verified.find(sha256.Sum256([]byte(text)))
	remembered.key, remembered.claims.Session = &other.PublicKey, uuid.NewString()
	for range 2 {
		if got, err := access.Verify(t.Context(), text); err != nil || got != content {
			t.Errorf("%+v, %v; want %+v", got, err, content)
		}
	}
}

// Tokens that are refused are not remembered.
func TestRefusedTokensAreNotRemembered(t *testing.T) {
	clock := clocktest.At(time.Unix(2_000_000_000, 0))
	access := newAccessTokensAt(t, signing.ES256, clock.Now)
	expired, _ := issue(t, access)
	clock.Advance(time.Hour)
	genuine, _ := issueVerified(t, access)
	foreign, _ := issue(t, newAccessTokensAt(t, signing.ES256, clock.Now))
	forged := genuine[:strings.LastIndexByte(genuine, '.')] + foreign[strings.LastIndexByte(foreign, '.'):]
	for _, text := range []string{"", "x", genuine + "A", strings.Repeat("a", 1<<20), expired, foreign, forged} {
		if _, err := access.Verify(t.Context(), text); !errors.Is(err, ErrAccess) {
			t.Errorf("%.100q: %v", text, err)
		}
	}
	if n := len(access.verified.tokens); n != 1 {
		t.Errorf("%d tokens are remembered", n)
	}
}

// However many tokens are valid, a limited number is remembered, the latest one among them.
func TestRememberedTokensAreLimited(t *testing.T) {
	tokens := newVerifiedTokens()
	for i := range 2*maxVerified + 1 {
		token := digest(sha256.Sum256([]byte(strconv.Itoa(i))))
		for range 2 { // the second time, it takes no additional room
			tokens.add(token, &verified{})
		}
		if want := min(i+1, maxVerified); len(tokens.tokens) != want || tokens.find(token) == nil {
			t.Fatalf("after %d tokens, %d are remembered", i+1, len(tokens.tokens))
		}
	}
}

// Concurrent calls get the content of their own tokens.
func TestTokensAreVerifiedConcurrently(t *testing.T) {
	access := newAccessTokens(t, signing.EdDSA)
	var all sync.WaitGroup
	for range 8 {
		text, content := issue(t, access)
		for range 4 {
			all.Go(func() {
				for range 50 {
					if got, err := access.Verify(t.Context(), text); err != nil || got != content {
						t.Errorf("%+v, %v; want %+v", got, err, content)
					}
				}
			})
		}
	}
	all.Wait()
}
