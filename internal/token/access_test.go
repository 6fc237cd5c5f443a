package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// forgery signs whatever it is told with the genuine key: what remains to be refused is refused for what the
// token says.
type forgery struct {
	ring           *Keyring
	header, claims map[string]any
}

func newForgery(t *testing.T, algorithm Algorithm) (*forgery, *AccessTokens) {
	t.Helper()
	db := databasetest.New(t, databasetest.SQLite)
	ring, err := OpenKeyring(t.Context(), db, Secrets{Secret(strings.Repeat("s", 32))}, algorithm, 15*time.Minute, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	access := NewAccessTokens(ring, "https://issuer.example", "https://audience.example", 15*time.Minute, time.Now)
	now := time.Now().Unix()
	return &forgery{ring: ring,
		header: map[string]any{"alg": string(algorithm), "kid": ring.signing().kid, "typ": "at+jwt"},
		claims: map[string]any{"iss": "https://issuer.example", "aud": "https://audience.example", "client_id": "sesame",
			"sub": uuid.NewString(), "sid": uuid.NewString(), "jti": uuid.NewString(), "iat": now, "exp": now + 900, "auth_time": now},
	}, access
}

func (f *forgery) sign(t *testing.T, header, claims string) string {
	t.Helper()
	signed := base64url.EncodeToString([]byte(header)) + "." + base64url.EncodeToString([]byte(claims))
	signer, err := jws.NewSigner(f.ring.signing().signatureAlgorithm())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign([]byte(signed), f.ring.signing().private)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64url.EncodeToString(signature)
}

func (f *forgery) with(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	return f.sign(t, encode(t, f.header, header), encode(t, f.claims, claims))
}

// encode is members with changes; nil leaves a member out.
func encode(t *testing.T, members, changes map[string]any) string {
	t.Helper()
	all := maps.Clone(members)
	for name, value := range changes {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerifyRefuses(t *testing.T) {
	for _, algorithm := range Algorithms {
		t.Run(string(algorithm), func(t *testing.T) {
			f, access := newForgery(t, algorithm)
			if _, err := access.Verify(t.Context(), f.with(t, nil, nil)); err != nil {
				t.Fatalf("the genuine token: %v", err)
			}
			if _, err := access.Verify(t.Context(), f.with(t, nil, map[string]any{"later": "addition"})); err != nil {
				t.Errorf("a claim of a later version: %v", err)
			}
			now := time.Now().Unix()
			refused := map[string]string{
				"header twice alg":  f.sign(t, `{"alg":"none",`+encode(t, f.header, nil)[1:], encode(t, f.claims, nil)),
				"header Alg":        f.sign(t, strings.Replace(encode(t, f.header, nil), `"alg"`, `"Alg"`, 1), encode(t, f.claims, nil)),
				"header trailing":   f.sign(t, encode(t, f.header, nil)+"{}", encode(t, f.claims, nil)),
				"claims twice exp":  f.sign(t, encode(t, f.header, nil), `{"exp":1,`+encode(t, f.claims, nil)[1:]),
				"claims no object":  f.sign(t, encode(t, f.header, nil), `[]`),
				"a line break more": f.with(t, nil, nil) + "\n", // a decoder passes over it
				"longer than 8 KiB": f.with(t, nil, map[string]any{"pad": strings.Repeat("a", MaxAccessToken)}),
			}
			for name, value := range map[string][]any{
				"alg": {nil, "none", "HS256", "RS256", "es256", 1}, "typ": {nil, "JWT", "AT+JWT", "application/at+jwt", "at+jwt "},
				"kid": {nil, "", "another", f.ring.signing().kid + " ", 1}, "crit": {[]string{"exp"}, []string{}}, "jku": {"https://evil.example"},
				"x5u": {"https://evil.example"}, "jwk": {map[string]any{"kty": "EC"}}, "x5c": {[]string{"x"}}, "b64": {false}, "zip": {"DEF"},
			} {
				for i, v := range value {
					refused[fmt.Sprintf("header %s %d %v", name, i, v)] = f.with(t, map[string]any{name: v}, nil)
				}
			}
			for name, value := range map[string][]any{
				"iss": {nil, "", "https://issuer.example/", "https://evil.example"}, "aud": {nil, "", "https://issuer.example", []string{"https://audience.example"}},
				"sub": {nil, "", "x", uuid.Nil.String()}, "sid": {nil, "", uuid.Nil.String()}, "jti": {nil, "", uuid.Nil.String()},
				"client_id": {nil, "", "another"}, "auth_time": {nil, "x"},
				"iat": {nil, "x", now + 60, 1e300}, "exp": {nil, "x", now - 60, 0, -1, "9999999999"},
			} {
				for i, v := range value {
					refused[fmt.Sprintf("claim %s %d %v", name, i, v)] = f.with(t, nil, map[string]any{name: v})
				}
			}
			for name, text := range refused {
				if _, err := access.Verify(t.Context(), text); !errors.Is(err, ErrAccess) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// Two clocks may differ by the skew, and no more.
func TestVerifySkew(t *testing.T) {
	f, _ := newForgery(t, ES256)
	at := time.Unix(2_000_000_000, 0)
	access := NewAccessTokens(f.ring, "https://issuer.example", "https://audience.example", time.Minute, func() time.Time { return at })
	issued, err := access.Issue(uuid.New(), uuid.New(), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		offset time.Duration
		valid  bool
	}{{-11 * time.Second, false}, {-10 * time.Second, true}, {0, true}, {70*time.Second - 1, true}, {70 * time.Second, false}} {
		at = time.Unix(2_000_000_000, 0).Add(test.offset)
		if _, err := access.Verify(t.Context(), issued); (err == nil) != test.valid {
			t.Errorf("%s: %v", test.offset, err)
		}
	}
}

// Every change of a character, every cut and every addition is refused.
func TestAccessTokenIsCanonical(t *testing.T) {
	f, access := newForgery(t, EdDSA)
	genuine := f.with(t, nil, nil)
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
