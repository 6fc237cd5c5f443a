package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// hasher is for tests that do not run hashes at once.
var hasher = NewHasher(Config{AtOnce: 1, Wait: time.Hour})

// policy is the default one.
var policy Policy

func TestAccept(t *testing.T) {
	tooShort := &TooShortError{MinLength: 8}
	for password, want := range map[string]error{
		"1234567":                            tooShort,
		"12345678":                           ErrCommon,
		"1234 678":                           nil,
		"🐎🔋📎🐎🔋📎🐎":                            tooShort,
		"🐎🔋📎🐎🔋🐎📎🔋":                           nil,
		"vxkwqzjp":                           nil, // no composition rules
		"x" + strings.Repeat("é", 127):       nil,
		"x" + strings.Repeat("é", 128):       ErrTooLong,
		"x" + strings.Repeat("e\u0301", 127): nil, // composed, 128
		"e\u0301e\u0301e\u0301e\u0301123":    tooShort,
		"":                                   ErrCharacters,
		"tab\tin the middle":                 ErrCharacters,
		"bad \xff utf-8":                     ErrCharacters,
	} {
		checkAccept(t, policy, password, want)
	}
}

func checkAccept(t *testing.T, policy Policy, password string, want error) {
	t.Helper()
	_, err := policy.Accept(password)
	if tooShort, ok := errors.AsType[*TooShortError](want); ok {
		got, ok := errors.AsType[*TooShortError](err)
		if !ok || *got != *tooShort {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
		return
	}
	if !errors.Is(err, want) {
		t.Errorf("%q: %v, want %v", password, err, want)
	}
}

// The required length is configurable, but never less than 8. It counts code points after
// normalization.
func TestRequiredLength(t *testing.T) {
	const fifteen = "vxkwqzjp mfgtrb" // of 15 characters
	for _, test := range []struct {
		minLength, required int
		accepted, tooShort  string
	}{
		{0, 8, fifteen[:8], fifteen[:7]},
		{1, 8, fifteen[:8], fifteen[:7]},
		{8, 8, "🐎🔋📎🐎🔋🐎📎🔋", "🐎🔋📎🐎🔋🐎📎"},
		{15, 15, fifteen, fifteen[:14]},
		{15, 15, fifteen[:14] + "e\u0301", fifteen[:13] + "e\u0301"},
		{64, 64, strings.Repeat(fifteen, 5)[:64], strings.Repeat(fifteen, 5)[:63]},
	} {
		policy := Policy{MinLength: test.minLength}
		checkAccept(t, policy, test.accepted, nil)
		checkAccept(t, policy, test.tooShort, &TooShortError{MinLength: test.required})
		if policy.Required() != test.required {
			t.Errorf("%+v: %d are required", test, policy.Required())
		}
	}
}

func TestHashAndVerify(t *testing.T) {
	accepted, err := policy.Accept("correct horse \u00e9")
	if err != nil {
		t.Fatal(err)
	}
	first, second := newHash(accepted.prepared, DefaultParameters), newHash(accepted.prepared, DefaultParameters)
	if first == second || !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("%s and %s", first, second)
	}
	for password, want := range map[string]bool{
		"correct horse \u00e9": true, "correct horse e\u0301": true,
		"correct horse e": false, "correct horse \u00e9 ": false, "": false, "\a": false,
	} {
		if got, err := hasher.Verify(t.Context(), password, first); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
}

// prepare returns an empty text for a password with invalid characters. It must not match the hash
// of the empty text.
func TestUnusablePasswordMatchesNothing(t *testing.T) {
	empty := newHash("", DefaultParameters)
	if got, err := hasher.Verify(t.Context(), "\a", empty); got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// No password matches the result of Unmatched, which is different each time. TestOutdated checks
// its cost.
func TestUnmatched(t *testing.T) {
	one := hasher.Unmatched()
	if other := hasher.Unmatched(); one == other || strings.Split(one, "$")[5] == strings.Split(other, "$")[5] {
		t.Errorf("%s and %s", one, other)
	}
	for _, password := range []string{"", "correct horse", one} {
		if matches, err := hasher.Verify(t.Context(), password, one); matches || err != nil {
			t.Errorf("%q: %v, %v", password, matches, err)
		}
	}
}

// The vector is from the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m
// 16 -p 4 -l 24.
func TestVerifyReference(t *testing.T) {
	const hash = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if got, err := hasher.Verify(t.Context(), "password", hash); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// A hash that is too expensive, or malformed, is refused before anything is allocated for it.
func TestVerifyIsBounded(t *testing.T) {
	const salt, sum = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	phc := func(parameters, salt, sum string) string {
		return fmt.Sprintf("$argon2id$v=19$%s$%s$%s", parameters, salt, sum)
	}
	long := strings.Repeat("c29t", 30)
	for _, hash := range []string{
		"", "$", "plain", "$argon2id$v=19$m=65536,t=2,p=1",
		"$argon2d$v=19$m=65536,t=2,p=1$" + salt + "$" + sum,
		"$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + sum,
		phc("m=4194304,t=2,p=1", salt, sum), phc("m=65537,t=2,p=1", salt, sum),
		phc("m=65536,t=11,p=1", salt, sum), phc("m=65536,t=2,p=5", salt, sum),
		phc("m=65536,t=0,p=1", salt, sum), phc("m=65536,t=2,p=0", salt, sum),
		phc("m=7,t=2,p=1", salt, sum), phc("m=-1,t=2,p=1", salt, sum),
		phc("m=4294967296,t=2,p=1", salt, sum), phc("m=65536,t=2,p=257", salt, sum),
		phc("m=065536,t=2,p=1", salt, sum), phc("m=65536,t=2,p=1,x=1", salt, sum),
		phc("t=2,m=65536,p=1", salt, sum),
		phc("m=65536,t=2,p=1", "", sum), phc("m=65536,t=2,p=1", salt, ""),
		phc("m=65536,t=2,p=1", salt+"=", sum), phc("m=65536,t=2,p=1", "c29tZXNhbHR", sum),
		phc("m=65536,t=2,p=1", long, sum), phc("m=65536,t=2,p=1", salt, long),
		phc("m=65536,t=2,p=1", salt, sum) + "$",
	} {
		allocated := testing.AllocsPerRun(1, func() {
			if matches, err := hasher.Verify(t.Context(), "password", hash); matches || !errors.Is(err, ErrHash) {
				t.Errorf("%q: %v, %v", hash, matches, err)
			}
		})
		if allocated > 100 {
			t.Errorf("%q: %v allocations", hash, allocated)
		}
	}
}
