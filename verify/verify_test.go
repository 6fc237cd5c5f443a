package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

var base64url = base64.RawURLEncoding

const (
	audience = "https://audience.example"
	user     = "01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"
	nobody   = "00000000-0000-0000-0000-000000000000"
)

// key signs whatever it is told: what remains to be refused is refused for what the token says.
type key struct {
	algorithm, kid string
	private        crypto.Signer
}

func newKey(t testing.TB, algorithm, kid string) key {
	t.Helper()
	var private crypto.Signer
	var err error
	if algorithm == "EdDSA" {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	} else {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key{algorithm: algorithm, kid: kid, private: private}
}

// sign is a token of any two texts.
func (k key) sign(t testing.TB, header, claims string) string {
	t.Helper()
	signed := base64url.EncodeToString([]byte(header)) + "." + base64url.EncodeToString([]byte(claims))
	var signature []byte
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(signed))
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return signed + "." + base64url.EncodeToString(signature)
}

func (k key) header() map[string]any {
	return map[string]any{"alg": k.algorithm, "kid": k.kid, "typ": "at+jwt"}
}

func claims(issuer string, at time.Time) map[string]any {
	now := at.Unix()
	return map[string]any{
		"iss": issuer, "aud": audience, "client_id": "sesame", "sub": user, "sid": user, "jti": user,
		"iat": now, "exp": now + 900, "auth_time": now,
	}
}

// token is a genuine one.
func (k key) token(t testing.TB, issuer string, at time.Time) string {
	t.Helper()
	return k.sign(t, encode(t, k.header(), nil), encode(t, claims(issuer, at), nil))
}

// encode is members with changes; nil leaves a member out.
func encode(t testing.TB, members, changes map[string]any) string {
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

// base64urlAlphabet is RFC 4648's, section 5. The last digit of 64 bytes holds four bits that are none of theirs.
const base64urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Every claim and every member of the header is held against its one right value and type.
func TestVerifyRefuses(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			k, other := newKey(t, algorithm, "kid"), newKey(t, map[string]string{"ES256": "EdDSA", "EdDSA": "ES256"}[algorithm], "other")
			from := newIssuer(t, k, other)
			verifier := from.verifier(t)
			now := time.Now()
			header, said := k.header(), claims(from.URL, now)
			with := func(h, c map[string]any) string { return k.sign(t, encode(t, header, h), encode(t, said, c)) }
			for name, text := range map[string]string{
				"genuine": with(nil, nil), "a claim of a later version": with(nil, map[string]any{"later": map[string]any{"a": 1}}),
			} {
				got, err := verifier.Verify(t.Context(), text)
				want := verify.Claims{Subject: user, Session: user, ID: user, IssuedAt: time.Unix(now.Unix(), 0), ExpiresAt: time.Unix(now.Unix()+900, 0), AuthTime: time.Unix(now.Unix(), 0)}
				if err != nil || got != want {
					t.Fatalf("%s: %+v, %v", name, got, err)
				}
			}
			head, body := encode(t, header, nil), encode(t, said, nil)
			genuine := with(nil, nil)
			parts := strings.Split(genuine, ".")
			refused := map[string]string{
				"header twice alg":         k.sign(t, `{"alg":"none",`+head[1:], body),
				"header twice typ":         k.sign(t, `{"typ":"at+jwt",`+head[1:], body),
				"header Alg":               k.sign(t, strings.Replace(head, `"alg"`, `"Alg"`, 1), body),
				"header trailing":          k.sign(t, head+"{}", body),
				"header no object":         k.sign(t, `["alg"]`, body),
				"header null":              k.sign(t, `null`, body),
				"claims twice exp":         k.sign(t, head, `{"exp":1,`+body[1:]),
				"claims Exp":               k.sign(t, head, strings.Replace(body, `"exp"`, `"Exp"`, 1)),
				"claims no object":         k.sign(t, head, `[]`),
				"claims trailing":          k.sign(t, head, body+body),
				"claims not UTF-8":         k.sign(t, head, strings.Replace(body, "{", "{\"\xff\":1,", 1)),
				"a line break more":        genuine + "\n",
				"longer than 8 KiB":        with(nil, map[string]any{"pad": strings.Repeat("a", verify.MaxToken)}),
				"empty":                    "",
				"three times empty":        "..",
				"two parts":                parts[0] + "." + parts[1],
				"four parts":               genuine + "." + parts[2],
				"JSON serialization":       `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
				"no signature":             parts[0] + "." + parts[1] + ".",
				"padding":                  genuine + "=",
				"a bit that no byte holds": genuine[:len(genuine)-1] + string(base64urlAlphabet[strings.IndexByte(base64urlAlphabet, genuine[len(genuine)-1])^1]),
				"another's kid":            with(map[string]any{"kid": "other"}, nil),
				"another's key":            key{algorithm: algorithm, kid: "kid", private: newKey(t, algorithm, "").private}.token(t, from.URL, now),
				"the other's alg":          with(map[string]any{"alg": other.algorithm}, nil),
			}
			for name, value := range map[string][]any{
				"alg": {nil, "none", "NoNe", "HS256", "RS256", "es256", 1, []string{algorithm}}, "typ": {nil, "JWT", "AT+JWT", "application/at+jwt", "at+jwt ", 1},
				"kid": {nil, "", "another", "kid ", 1}, "crit": {[]string{"exp"}, []string{}}, "jku": {"https://evil.example"}, "cty": {"JWT"},
				"x5u": {"https://evil.example"}, "jwk": {map[string]any{"kty": "EC"}}, "x5c": {[]string{"x"}}, "b64": {false}, "zip": {"DEF"},
			} {
				for i, v := range value {
					refused[fmt.Sprintf("header %s %d %v", name, i, v)] = with(map[string]any{name: v}, nil)
				}
			}
			null := json.RawMessage("null")
			for name, value := range map[string][]any{
				"iss": {nil, null, "", from.URL + "/", "https://evil.example", 1}, "aud": {nil, null, "", from.URL, []string{audience}},
				"sub": {nil, null, "", "x", 1, nobody, strings.ToUpper(user), "{" + user + "}", strings.ReplaceAll(user, "-", ""), user[:35], user + "0", user[:35] + "g", user[:8] + "0" + user[9:]},
				"sid": {nil, null, "", 1, nobody}, "jti": {nil, null, "", 1, nobody}, "client_id": {nil, null, "", "another", 1}, "auth_time": {nil, null, "x", 1.5},
				"iat": {nil, null, "x", now.Unix() + 60, 1e300, true}, "exp": {nil, null, "x", now.Unix() - 60, 0, -1, "9999999999", 1e300, float64(now.Unix()) + 900.5},
			} {
				for i, v := range value {
					refused[fmt.Sprintf("claim %s %d %v", name, i, v)] = with(nil, map[string]any{name: v})
				}
			}
			for name, text := range refused {
				if _, err := verifier.Verify(t.Context(), text); !errors.Is(err, verify.ErrToken) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// Two clocks may differ by the skew, and no more.
func TestVerifySkew(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	issued := k.token(t, from.URL, from.clock.now())
	for _, test := range []struct {
		offset time.Duration
		valid  bool
	}{{-11 * time.Second, false}, {-10 * time.Second, true}, {0, true}, {910*time.Second - 1, true}, {910 * time.Second, false}} {
		at := from.clock.now().Truncate(time.Second).Add(test.offset)
		verifier := from.verifier(t, verify.WithClock(func() time.Time { return at }))
		if _, err := verifier.Verify(t.Context(), issued); (err == nil) != test.valid {
			t.Errorf("%s: %v", test.offset, err)
		}
	}
}

func TestIssuersAndAudiences(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://auth.example.com": true, "https://example.com/auth": true, "http://127.0.0.1:8080": true, "http://[::1]:8080": true, "http://localhost:8080": true,
		"https://auth.example.com/": false, "http://auth.example.com": false, "http://10.0.0.1": false, "http://127.0.0.1.example.com": false, "auth.example.com": false,
		"": false, "ftp://127.0.0.1": false, "https://": false, "https://a?b": false, "https://a#b": false, "https://u@a": false,
	} {
		if _, err := verify.New(issuer, audience); (err == nil) != good {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	if _, err := verify.New("https://auth.example.com", ""); err == nil {
		t.Error("without an audience, tokens for anybody would be accepted")
	}
}

// Whatever is accepted reads the same to another reader of JSON, which takes the last of names that occur twice.
func FuzzVerify(f *testing.F) {
	k := newKey(f, "EdDSA", "kid")
	const issuer = "https://issuer.example"
	at := time.Unix(2_000_000_000, 0)
	keys := func(kid string) (crypto.PublicKey, error) {
		if kid != "kid" {
			return nil, verify.ErrToken
		}
		return k.private.Public(), nil
	}
	verifier := verify.NewWithKeys(issuer, audience, keyFunc(keys), verify.WithClock(func() time.Time { return at }))
	head, body := encode(f, k.header(), nil), encode(f, claims(issuer, at), nil)
	f.Add(head, body, true)
	f.Add(`{"kid":"x",`+head[1:], `{"exp":1,`+body[1:], true)
	f.Add(head+" ", strings.Replace(body, ":", " : ", 3), true)
	f.Add(k.token(f, issuer, at), "", false)
	f.Fuzz(func(t *testing.T, head, body string, sign bool) {
		text := head
		if sign {
			text = k.sign(t, head, body)
		}
		got, err := verifier.Verify(t.Context(), text)
		if err != nil {
			if !errors.Is(err, verify.ErrToken) || got != (verify.Claims{}) {
				t.Errorf("%+v, %v", got, err)
			}
			return
		}
		parts := strings.Split(text, ".")
		var header, said map[string]any
		for i, into := range []*map[string]any{&header, &said} {
			raw, err := base64url.DecodeString(parts[i])
			if err != nil || json.Unmarshal(raw, into) != nil {
				t.Fatalf("accepted, and not readable: %q", raw)
			}
		}
		if len(header) != 3 || header["alg"] != "EdDSA" || header["kid"] != "kid" || header["typ"] != "at+jwt" {
			t.Errorf("accepted with header %v", header)
		}
		if said["iss"] != issuer || said["aud"] != audience || said["sub"] != got.Subject || said["sid"] != got.Session || said["jti"] != got.ID || said["exp"] != float64(got.ExpiresAt.Unix()) {
			t.Errorf("accepted as %+v what says %v", got, said)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			k := newKey(b, algorithm, "kid")
			from := newIssuer(b, k)
			verifier, text := from.verifier(b), k.token(b, from.URL, from.clock.now())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
