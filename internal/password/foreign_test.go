package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// Hashes from other implementations are verified. The bcrypt hash is a test vector of
// crypt_blowfish, and the same for the variants b and y. The argon2 ones are from test.c of the
// reference implementation.
func TestVerifyForeign(t *testing.T) {
	const u = "05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	for hash, password := range map[string]string{
		"$2a$" + u: "U*U", "$2b$" + u: "U*U", "$2y$" + u: "U*U",
		"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$iekCn0Y3spW+sCcFanM2xBT63UP2sghkUoHLIUpWRS8":  "password",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc": "password",
	} {
		for attempt, want := range map[string]bool{password: true, password + "x": false, "": false} {
			if got, err := hasher.Verify(t.Context(), attempt, hash); got != want || err != nil {
				t.Errorf("%q for %s: %v, %v", attempt, hash, got, err)
			}
		}
		if !hasher.Outdated(hash) {
			t.Errorf("%s is not outdated", hash)
		}
	}
}

// bcrypt ignores everything after 72 bytes. A longer password must not match the hash of its
// beginning.
func TestBcryptDoesNotTruncate(t *testing.T) {
	long := strings.Repeat("0123456789", 8)[:maxBcryptBytes]
	hash, err := bcrypt.GenerateFromPassword([]byte(long), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for attempt, want := range map[string]bool{long: true, long + "8": false, long[:71]: false} {
		if got, err := hasher.Verify(t.Context(), attempt, string(hash)); got != want || err != nil {
			t.Errorf("%d bytes: %v, %v", len(attempt), got, err)
		}
	}
}

func TestBcryptIsBounded(t *testing.T) {
	const rest = "$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	for _, hash := range []string{
		"$2a$15" + rest, "$2a$31" + rest, "$2a$99" + rest, "$2a$03" + rest, "$2a$-1" + rest, "$2a$5" + rest,
		"$2x$05" + rest, "$2$05" + rest, "$1a$05" + rest,
		"$2a$05" + rest + "x", "$2a$05" + rest[:40], "$2a$05" + strings.Replace(rest, "Y", "%", 1),
		"$2a$05" + rest + "\n",
	} {
		if matches, err := hasher.Verify(t.Context(), "U*U", hash); matches || !errors.Is(err, ErrHash) {
			t.Errorf("%q: %v, %v", hash, matches, err)
		}
	}
	if _, err := parse("$2b$14" + rest); err != nil {
		t.Error(err)
	}
}

func TestOutdated(t *testing.T) {
	const salt, sum = "MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
	for hash, want := range map[string]bool{
		newHash("correct horse", DefaultParameters):                       false,
		hasher.Unmatched():                                                false,
		fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$%s$%s", salt, sum):    false,
		fmt.Sprintf("$argon2i$v=19$m=19456,t=2,p=1$%s$%s", salt, sum):     true,
		fmt.Sprintf("$argon2id$v=19$m=19455,t=2,p=1$%s$%s", salt, sum):    true,
		fmt.Sprintf("$argon2id$v=19$m=65536,t=2,p=1$%s$%s", salt, sum):    true,
		fmt.Sprintf("$argon2id$v=19$m=19456,t=3,p=1$%s$%s", salt, sum):    true,
		fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=2$%s$%s", salt, sum):    true,
		fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$%s", sum): true,
		fmt.Sprintf("$argon2id$v=19$m=19456,t=2,p=1$%s$%s", salt, salt):   true,
		"": true, "damaged": true,
	} {
		if got := hasher.Outdated(hash); got != want {
			t.Errorf("%q: %v", hash, got)
		}
	}
}

// An imported password can be rehashed even if the policy would refuse it.
func TestRehash(t *testing.T) {
	hash, err := hasher.Rehash(t.Context(), "short")
	if err != nil || hasher.Outdated(hash) {
		t.Fatalf("%s, %v", hash, err)
	}
	if matches, err := hasher.Verify(t.Context(), "short", hash); !matches || err != nil {
		t.Errorf("%v, %v", matches, err)
	}
	if _, err := hasher.Rehash(t.Context(), "\a"); !errors.Is(err, ErrCharacters) {
		t.Error(err)
	}
}
