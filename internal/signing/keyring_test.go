package signing_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/clocktest"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/token"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var (
	current = secret.Secret(bytes.Repeat([]byte{7}, 32))
	another = secret.Secret(bytes.Repeat([]byte{8}, 32))
	newYear = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

func open(
	t *testing.T, db *database.DB, algorithm signing.Algorithm, now func() time.Time, secrets ...secret.Secret,
) (*signing.Keyring, error) {
	t.Helper()
	return signing.Open(t.Context(), signing.Config{
		DB: db, Secrets: secrets, Algorithm: algorithm, TokenLifetime: lifetime, Now: now,
	})
}

// openRing opens the keyring under the given secrets, or under current if there are none.
func openRing(t *testing.T, db *database.DB, now func() time.Time, secrets ...secret.Secret) *signing.Keyring {
	t.Helper()
	if secrets == nil {
		secrets = []secret.Secret{current}
	}
	ring, err := open(t, db, signing.ES256, now, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func reload(t *testing.T, ring *signing.Keyring) {
	t.Helper()
	if err := ring.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// states returns the states of the keys, the newest first.
func states(t *testing.T, db *database.DB, now func() time.Time) []string {
	t.Helper()
	keys, err := signing.List(t.Context(), db, signing.ES256, now())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, key := range keys {
		list = append(list, string(key.State))
	}
	return list
}

// A key is published a day before it signs, signs for 90 days, and is deleted when its tokens have
// expired.
func TestLifeOfAKey(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		clock := clocktest.At(newYear)
		db := databasetest.New(t, engine)
		ring := openRing(t, db, clock.Now)
		first := ring.JWKs()[0].Kid
		expect := func(when string, want ...string) {
			t.Helper()
			reload(t, ring)
			if got := states(t, db, clock.Now); !slices.Equal(got, want) || len(ring.JWKs()) != len(want) {
				t.Errorf("%s: %v, want %v; %d published", when, got, want, len(ring.JWKs()))
			}
		}
		expect("at first", "active")
		clock.Advance(89*24*time.Hour - time.Second)
		expect("before the 89th day", "active")
		clock.Advance(time.Second)
		expect("on the 89th day", "next", "active")
		clock.Advance(24*time.Hour - time.Second)
		expect("before the 90th day", "next", "active")
		last := issueAt(t, ring, clock)
		clock.Advance(time.Second)
		expect("on the 90th day", "active", "retired")
		if kid := ring.JWKs()[1].Kid; kid != first {
			t.Errorf("the retired key is %s", kid)
		}
		clock.Advance(lifetime - 2*time.Second)
		if _, err := tokens(ring, clock.Now).Verify(t.Context(), last); err != nil {
			t.Errorf("the last token of the retired key: %v", err)
		}
		clock.Advance(2 * time.Second)
		expect("just after its last token expired", "active", "retired")
		clock.Advance(2 * time.Minute)
		expect("after its tokens expired", "active")
		clock.Advance(365 * 24 * time.Hour) // without a reload
		expect("a year later", "next", "active")
	})
}

func issueAt(t *testing.T, ring *signing.Keyring, clock *clocktest.Clock) string {
	t.Helper()
	text, err := tokens(ring, clock.Now).Issue(token.Access{User: uuid.New(), Session: uuid.New(), AuthTime: clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// During a rotation no valid token is refused at any time: neither by the two instances, nor by a
// verifier that caches the published keys as long as it may.
func TestTokensStayValidDuringRotation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		clock := clocktest.At(newYear)
		db := databasetest.New(t, engine)
		one, other := openRing(t, db, clock.Now), openRing(t, db, clock.Now)
		const reloadEvery, step = 20 * time.Second, 10 * time.Second
		var cached []string
		var fetched time.Time
		type issued struct {
			token string
			at    time.Time
		}
		var tokensSoFar []issued
		kids := make(map[string]bool)
		for tick := range 20 * 6 { // twenty minutes
			if tick == 6 {
				if _, err := one.Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if time.Duration(tick)*step%reloadEvery == 0 {
				reload(t, []*signing.Keyring{one, other}[tick/2%2]) // they take turns
			}
			for _, ring := range []*signing.Keyring{one, other} {
				tokensSoFar = append(tokensSoFar, issued{issueAt(t, ring, clock), clock.Now()})
			}
			if clock.Now().Sub(fetched) >= signing.JWKSMaxAge {
				cached, fetched = nil, clock.Now()
				for _, key := range other.JWKs() {
					cached = append(cached, key.Kid)
				}
			}
			for _, issued := range tokensSoFar {
				if clock.Now().Sub(issued.at) >= lifetime {
					continue
				}
				kid := kidOf(t, issued.token)
				kids[kid] = true
				if !slices.Contains(cached, kid) {
					t.Fatalf("after %s the verifier does not have key %s", time.Duration(tick)*step, kid)
				}
				if tick%12 == 0 {
					for _, ring := range []*signing.Keyring{one, other} {
						if _, err := tokens(ring, clock.Now).Verify(t.Context(), issued.token); err != nil {
							t.Fatalf("after %s: %v", time.Duration(tick)*step, err)
						}
					}
				}
			}
			clock.Advance(step)
		}
		if len(kids) != 2 {
			t.Errorf("%d keys signed, want 2", len(kids))
		}
	})
}

// Concurrent rotations make one next key.
func TestConcurrentRotations(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		var rotations sync.WaitGroup
		for range 4 {
			ring := openRing(t, db, time.Now)
			rotations.Go(func() {
				if _, err := ring.Rotate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		rotations.Wait()
		if got := states(t, db, time.Now); !slices.Equal(got, []string{"next", "active"}) {
			t.Errorf("%v", got)
		}
	})
}

// Tokens of a revoked key are refused immediately by the instance that revoked it, and after a
// reload by other instances, also if they were accepted before. These reload when they see a token
// of the new key.
func TestRevokedKey(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		clock := clocktest.At(newYear)
		db := databasetest.New(t, engine)
		here, elsewhere := openRing(t, db, clock.Now), openRing(t, db, clock.Now)
		tokensHere, tokensElsewhere := tokens(here, clock.Now), tokens(elsewhere, clock.Now)
		stolen := issueAt(t, here, clock)
		for range 2 { // the second time, the signature is known to be valid
			for _, tokens := range []*token.AccessTokens{tokensHere, tokensElsewhere} {
				if _, err := tokens.Verify(t.Context(), stolen); err != nil {
					t.Errorf("before the key is revoked: %v", err)
				}
			}
		}
		if err := here.Revoke(t.Context(), "nothing"); !errors.Is(err, signing.ErrNoSuchKey) {
			t.Errorf("an unknown key: %v", err)
		}
		if err := here.Revoke(t.Context(), kidOf(t, stolen)); err != nil {
			t.Fatal(err)
		}
		if _, err := tokensHere.Verify(t.Context(), stolen); !errors.Is(err, token.ErrAccess) {
			t.Errorf("here: %v", err)
		}
		fresh := issueAt(t, here, clock)
		clock.Advance(time.Second)
		if _, err := tokensElsewhere.Verify(t.Context(), fresh); err != nil {
			t.Errorf("the new key elsewhere: %v", err)
		}
		if _, err := tokensElsewhere.Verify(t.Context(), stolen); !errors.Is(err, token.ErrAccess) {
			t.Errorf("elsewhere: %v", err)
		}
	})
}

// If the active key is revoked, the next one signs earlier than planned.
func TestNextKeyReplacesRevokedKey(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		clock := clocktest.At(newYear)
		ring := openRing(t, databasetest.New(t, engine), clock.Now)
		active := kidOf(t, issueAt(t, ring, clock))
		next, err := ring.Rotate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Revoke(t.Context(), active); err != nil {
			t.Fatal(err)
		}
		if kid := kidOf(t, issueAt(t, ring, clock)); kid != next {
			t.Errorf("key %s signs, want the next key %s", kid, next)
		}
	})
}

// Tokens with an unknown kid cause at most one query a second.
func TestQueriesForUnknownKeysAreLimited(t *testing.T) {
	clock := clocktest.At(newYear)
	db := databasetest.New(t, databasetest.SQLite)
	ring := openRing(t, db, clock.Now)
	foreign := issueAt(t, openRing(t, databasetest.New(t, databasetest.SQLite), clock.Now), clock)
	queries := 0
	callback := db.WithContext(t.Context()).Callback().Query().Before("gorm:query")
	if err := callback.Register("count", func(*gorm.DB) { queries++ }); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := tokens(ring, clock.Now).Verify(t.Context(), foreign); !errors.Is(err, token.ErrAccess) {
			t.Fatal(err)
		}
	}
	if queries != 1 {
		t.Errorf("%d queries, want 1", queries)
	}
}

// When the secret is rotated, tokens stay valid, and the keys are sealed again under the new
// secret.
func TestSecretIsRotated(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		before := issue(t, openRing(t, db, time.Now, current))
		prepared := openRing(t, db, time.Now, current, another)
		rotated := openRing(t, db, time.Now, another, current)
		done := openRing(t, db, time.Now, another)
		for name, ring := range map[string]*signing.Keyring{"prepared": prepared, "rotated": rotated, "done": done} {
			reload(t, ring)
			if _, err := tokens(ring, time.Now).Verify(t.Context(), before); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := open(t, db, signing.ES256, time.Now, current); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("the previous secret still decrypts the keys: %v", err)
		}
	})
}

// A running instance picks up changes in the database.
func TestRunReloads(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		running, operator := openRing(t, db, time.Now), openRing(t, db, time.Now)
		go running.Run(t.Context(), 10*time.Millisecond, slog.New(slog.DiscardHandler))
		if _, err := operator.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); len(running.JWKs()) != 2; {
			if time.Now().After(deadline) {
				t.Fatal("the new key was not loaded within 20 s")
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
}

// kidOf returns the kid in a token's header.
func kidOf(t *testing.T, text string) string {
	t.Helper()
	head, _, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header struct{ Kid string }
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// Every change to a key is recorded once, even with several instances.
func TestKeyEvents(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		clock, db := clocktest.At(newYear), databasetest.New(t, engine)
		ring, other := openRing(t, db, clock.Now), openRing(t, db, clock.Now)
		first := ring.JWKs()[0].Kid
		clock.Advance(89 * 24 * time.Hour)
		reload(t, ring)
		reload(t, other)
		next := ring.JWKs()[0].Kid
		for range 2 {
			if kid, err := other.Rotate(t.Context()); err != nil || kid != next {
				t.Fatalf("%s, %v", kid, err)
			}
		}
		clock.Advance(signing.RotateAfter + lifetime + 2*time.Minute)
		reload(t, ring)
		reload(t, other)
		if err := ring.Revoke(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		if err := other.Revoke(t.Context(), next); !errors.Is(err, signing.ErrNoSuchKey) {
			t.Error(err)
		}
		want := []string{
			"key-create kid " + first, "key-create kid " + next, "key-advance kid " + next,
			"key-delete kid " + first, "key-revoke kid " + next, "key-create kid " + ring.JWKs()[0].Kid,
		}
		var got []string
		err := audit.Read(t.Context(), db, audit.Filter{}, func(event audit.Event) error {
			if event.Outcome != audit.Success {
				t.Errorf("%+v", event)
			}
			got = append(got, string(event.Kind)+" "+event.Detail)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("recorded %q, want %q, %v", got, want, err)
		}
	})
}
