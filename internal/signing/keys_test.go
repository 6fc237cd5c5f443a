package signing_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/token"
)

// Several instances that start at the same time make one key, and accept each other's tokens.
func TestInstancesMakeOneKey(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		rings := make([]*signing.Keyring, 8)
		var instances sync.WaitGroup
		for i := range rings {
			instances.Go(func() {
				var err error
				if rings[i], err = open(t, db, signing.ES256, time.Now, current); err != nil {
					t.Error(err)
				}
			})
		}
		instances.Wait()
		if t.Failed() {
			return
		}
		var rows []signing.StoredKey
		if err := db.WithContext(t.Context()).Find(&rows).Error; err != nil || len(rows) != 1 {
			t.Fatalf("%d keys, %v", len(rows), err)
		}
		issued := issue(t, rings[0])
		for _, ring := range rings {
			if _, err := tokens(ring, time.Now).Verify(t.Context(), issued); err != nil {
				t.Error(err)
			}
		}
	})
}

// After the algorithm was changed there is a new key. Tokens of the old one stay valid.
func TestAlgorithmCanChange(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		var issued []string
		for i, algorithm := range []signing.Algorithm{signing.ES256, signing.EdDSA, signing.ES256} {
			ring, err := open(t, db, algorithm, time.Now, current)
			if err != nil {
				t.Fatal(err)
			}
			if public := ring.JWKs(); len(public) != min(i+1, 2) {
				t.Errorf("%s: public keys %+v", algorithm, public)
			}
			issued = append(issued, issue(t, ring))
			signedBy := func(key signing.JWK) bool {
				return key.Kid == kidOf(t, issued[i]) && key.Alg == string(algorithm)
			}
			if !slices.ContainsFunc(ring.JWKs(), signedBy) {
				t.Errorf("no published %s key signed the token", algorithm)
			}
			for _, text := range issued {
				if _, err := tokens(ring, time.Now).Verify(t.Context(), text); err != nil {
					t.Errorf("%s: %v", algorithm, err)
				}
			}
		}
		if _, err := open(t, db, "RS256", time.Now, current); err == nil {
			t.Error("an unknown algorithm was accepted")
		}
	})
}

// A stored key can only be decrypted under its secret, in its own row, and if it was not changed.
func TestKeysAreSealed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		for _, algorithm := range signing.Algorithms {
			if _, err := open(t, db, algorithm, time.Now, current); err != nil {
				t.Fatal(err)
			}
		}
		var rows []signing.StoredKey
		if err := db.WithContext(t.Context()).Order("generation").Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			// Unencrypted, a key would contain the identifier of its algorithm (RFC 5208; RFC 5480; RFC
			// 8410).
			for _, identifier := range [][]byte{
				{0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d},
				{0x06, 0x03, 0x2b, 0x65, 0x70},
			} {
				if bytes.Contains(row.Sealed, identifier) {
					t.Errorf("the %s key is not encrypted", row.Algorithm)
				}
			}
		}
		refused := func(name string, with secret.Secret) {
			t.Helper()
			if _, err := open(t, db, signing.ES256, time.Now, with); !errors.Is(err, secret.ErrSealed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		store := func(generation int64, sealed []byte) {
			t.Helper()
			row := db.WithContext(t.Context()).Model(&signing.StoredKey{}).Where("generation = ?", generation)
			if err := row.Update("sealed", sealed).Error; err != nil {
				t.Fatal(err)
			}
		}
		refused("another secret", another)
		store(1, rows[1].Sealed)
		store(2, rows[0].Sealed)
		refused("rows swapped", current)
		store(2, rows[1].Sealed)
		original := rows[0].Sealed
		withoutAByte := slices.Concat(original[:60], original[61:])
		for _, sealed := range [][]byte{{}, original[:11], original[:40], withoutAByte} {
			store(1, sealed)
			refused(fmt.Sprintf("%d bytes", len(sealed)), current)
		}
	})
}

// A stored key is used only with its own algorithm. Its row could be changed: only the private key
// and its kid are sealed.
func TestKeyOfAnotherAlgorithm(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		openRing(t, db, time.Now)
		change := db.WithContext(t.Context()).Model(&signing.StoredKey{}).Where("generation = 1")
		if err := change.Update("algorithm", signing.EdDSA).Error; err != nil {
			t.Fatal(err)
		}
		if _, err := open(t, db, signing.ES256, time.Now, current); err == nil {
			t.Error("an ES256 key is used for EdDSA")
		}
	})
}

const lifetime = 15 * time.Minute

func tokens(ring *signing.Keyring, now func() time.Time) *token.AccessTokens {
	return token.NewAccessTokens(token.AccessConfig{
		Keys: ring, Issuer: "https://issuer.example", Audience: "https://audience.example", Lifetime: lifetime, Now: now,
	})
}

func issue(t *testing.T, ring *signing.Keyring) string {
	t.Helper()
	text, err := tokens(ring, time.Now).Issue(token.Access{User: uuid.New(), Session: uuid.New(), AuthTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
