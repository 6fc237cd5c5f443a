package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

var base64url = base64.RawURLEncoding

const (
	audience = "https://audience.example"
	user     = "01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"
	nilUUID  = "00000000-0000-0000-0000-000000000000"
)

// key is a signing key that signs any header and claims, also invalid ones.
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

// sign returns a token with this header and these claims, which need not be JSON.
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
		order := elliptic.P256().Params().N
		if twin := new(big.Int).Sub(order, s); twin.Cmp(s) < 0 {
			s = twin
		}
		signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return signed + "." + base64url.EncodeToString(signature)
}

// twin returns an ES256 token with the other signature that ECDSA accepts: (r, n-s) for (r, s).
func twin(t testing.TB, token string) string {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64url.DecodeString(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(signature[32:]))
	return token[:dot+1] + base64url.EncodeToString(append(signature[:32:32], s.FillBytes(make([]byte, 32))...))
}

func (k key) header() map[string]any {
	return map[string]any{"alg": k.algorithm, "kid": k.kid, "typ": "at+jwt"}
}

func claims(issuer string, at time.Time) map[string]any {
	now := at.Unix()
	return map[string]any{
		"iss": issuer, "aud": audience, "client_id": "sesame", "sub": user, "sid": user, "jti": user,
		"iat": now, "exp": now + 900, "auth_time": now, "email_verified": false,
		"amr": []string{"pwd", "otp", "mfa"}, "acr": "aal2",
	}
}

// token returns a valid token.
func (k key) token(t testing.TB, issuer string, at time.Time) string {
	t.Helper()
	return k.sign(t, encode(t, k.header(), nil), encode(t, claims(issuer, at), nil))
}

// encode returns members as JSON, with changes. The value nil deletes a member.
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

// base64urlAlphabet is the alphabet of RFC 4648, section 5.
const base64urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// nonCanonical changes an unused bit of the last digit, which encodes only two bits of a 64-byte
// signature.
func nonCanonical(token string) string {
	last := len(token) - 1
	return token[:last] + string(base64urlAlphabet[strings.IndexByte(base64urlAlphabet, token[last])^1])
}

// Every claim and every member of the header must have the right value and type.
func TestVerifyRefuses(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			otherAlgorithm := map[string]string{"ES256": "EdDSA", "EdDSA": "ES256"}[algorithm]
			k, other := newKey(t, algorithm, "kid"), newKey(t, otherAlgorithm, "other")
			from := newIssuer(t, k, other)
			verifier := from.verifier(t)
			now := time.Now()
			header, payload := k.header(), claims(from.URL, now)
			with := func(headerChanges, claimChanges map[string]any) string {
				return k.sign(t, encode(t, header, headerChanges), encode(t, payload, claimChanges))
			}
			for name, token := range map[string]string{
				"valid":         with(nil, nil),
				"unknown claim": with(nil, map[string]any{"later": map[string]any{"a": 1}}),
			} {
				got, err := verifier.Verify(t.Context(), token)
				want := verify.Claims{
					Subject: user, Session: user, ID: user,
					IssuedAt:  time.Unix(now.Unix(), 0),
					ExpiresAt: time.Unix(now.Unix()+900, 0),
					AuthTime:  time.Unix(now.Unix(), 0),
					AMR:       []string{"pwd", "otp", "mfa"}, ACR: "aal2",
				}
				if err != nil || !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, %v", name, got, err)
				}
			}
			head, body := encode(t, header, nil), encode(t, payload, nil)
			valid := with(nil, nil)
			parts := strings.Split(valid, ".")
			serialized := `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
			sameKid := newKey(t, algorithm, "kid")
			refused := map[string]string{
				"header with two algs":       k.sign(t, `{"alg":"none",`+head[1:], body),
				"header with two typs":       k.sign(t, `{"typ":"at+jwt",`+head[1:], body),
				"header with Alg":            k.sign(t, strings.Replace(head, `"alg"`, `"Alg"`, 1), body),
				"header with trailing data":  k.sign(t, head+"{}", body),
				"header is an array":         k.sign(t, `["alg"]`, body),
				"header is null":             k.sign(t, `null`, body),
				"claims with two exps":       k.sign(t, head, `{"exp":1,`+body[1:]),
				"claims with Exp":            k.sign(t, head, strings.Replace(body, `"exp"`, `"Exp"`, 1)),
				"claims are an array":        k.sign(t, head, `[]`),
				"claims with trailing data":  k.sign(t, head, body+body),
				"claims are not UTF-8":       k.sign(t, head, strings.Replace(body, "{", "{\"\xff\":1,", 1)),
				"line break":                 valid + "\n",
				"longer than 8 KiB":          with(nil, map[string]any{"pad": strings.Repeat("a", verify.MaxTokenSize)}),
				"empty":                      "",
				"three empty parts":          "..",
				"two parts":                  parts[0] + "." + parts[1],
				"four parts":                 valid + "." + parts[2],
				"JSON serialization":         serialized,
				"no signature":               parts[0] + "." + parts[1] + ".",
				"padding":                    valid + "=",
				"non-canonical signature":    nonCanonical(valid),
				"kid of another key":         with(map[string]any{"kid": "other"}, nil),
				"signed by another key":      sameKid.token(t, from.URL, now),
				"algorithm of the other key": with(map[string]any{"alg": other.algorithm}, nil),
			}
			for name, values := range map[string][]any{
				"alg":  {nil, "none", "NoNe", "HS256", "RS256", "es256", 1, []string{algorithm}},
				"typ":  {nil, "JWT", "AT+JWT", "application/at+jwt", "at+jwt ", 1},
				"kid":  {nil, "", "another", "kid ", 1},
				"crit": {[]string{"exp"}, []string{}},
				"jku":  {"https://evil.example"},
				"cty":  {"JWT"},
				"x5u":  {"https://evil.example"},
				"jwk":  {map[string]any{"kty": "EC"}},
				"x5c":  {[]string{"x"}},
				"b64":  {false},
				"zip":  {"DEF"},
			} {
				for i, value := range values {
					refused[fmt.Sprintf("header %s %d %v", name, i, value)] = with(map[string]any{name: value}, nil)
				}
			}
			for name, values := range wrongClaims(from.URL, now.Unix()) {
				for i, value := range values {
					refused[fmt.Sprintf("claim %s %d %v", name, i, value)] = with(nil, map[string]any{name: value})
				}
			}
			for name, token := range refused {
				if _, err := verifier.Verify(t.Context(), token); !errors.Is(err, verify.ErrInvalidToken) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

// wrongClaims returns values that each claim must not have. nil means that it is missing.
func wrongClaims(issuer string, now int64) map[string][]any {
	null := json.RawMessage("null")
	return map[string][]any{
		"iss": {nil, null, "", issuer + "/", "https://evil.example", 1},
		"aud": {nil, null, "", issuer, []string{audience}},
		"sub": {
			nil, null, "", "x", 1, nilUUID, strings.ToUpper(user), "{" + user + "}", strings.ReplaceAll(user, "-", ""),
			user[:35], user + "0", user[:35] + "g", user[:8] + "0" + user[9:],
		},
		"sid":       {nil, null, "", 1, nilUUID},
		"jti":       {nil, null, "", 1, nilUUID},
		"client_id": {nil, null, "", "another", 1},
		"amr":       {nil, null, "pwd", []any{null}, []any{1}, []any{""}}, "acr": {nil, null, 1, []string{"aal1"}},
		"auth_time": {nil, null, "x", 1.5}, "email_verified": {nil, null, "true", 1},
		"iat": {nil, null, "x", now + 61, 1e300, true},
		"exp": {nil, null, "x", now - 60, 0, -1, "9999999999", 1e300, float64(now) + 900.5},
	}
}

// ECDSA accepts two signatures for each that a key makes. Only one of them is accepted.
func TestTwinSignatureIsRefused(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	for range 10 {
		genuine := k.token(t, from.URL, from.clock.now())
		expect(t, verifier, "the token", genuine, nil)
		other := twin(t, genuine)
		signed, signature, _ := strings.Cut(other[strings.IndexByte(other, '.')+1:], ".")
		raw, err := base64url.DecodeString(signature)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(strings.Split(other, ".")[0] + "." + signed))
		public, _ := k.private.Public().(*ecdsa.PublicKey)
		if !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
			t.Fatal("the twin is not a signature")
		}
		expect(t, verifier, "the twin", other, verify.ErrInvalidToken)
	}
}

// A key works only with its algorithm, and only on its curve: ES256 on P-256, EdDSA on Ed25519
// (RFC 8725, section 3.1; RFC 7518, section 3.4).
func TestOtherKeysAreRefused(t *testing.T) {
	const issuer = "https://issuer.example"
	at := time.Unix(2_000_000_000, 0)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ec, ed := newKey(t, "ES256", "kid"), newKey(t, "EdDSA", "kid")
	onP384 := key{algorithm: "ES256", kid: "kid", private: p384}
	signed := base64url.EncodeToString([]byte(encode(t, ec.header(), nil))) + "." +
		base64url.EncodeToString([]byte(encode(t, claims(issuer, at), nil)))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p384, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	long := append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	edPublic, _ := ed.private.Public().(ed25519.PublicKey)
	for name, test := range map[string]struct {
		key   crypto.PublicKey
		token string
		valid bool
	}{
		"P-256":             {ec.private.Public(), ec.token(t, issuer, at), true},
		"Ed25519":           {edPublic, ed.token(t, issuer, at), true},
		"P-384":             {onP384.private.Public(), signed + "." + base64url.EncodeToString(long), false},
		"P-384, 64 bytes":   {onP384.private.Public(), ec.token(t, issuer, at), false},
		"RSA":               {rsaKey.Public(), ec.token(t, issuer, at), false},
		"truncated Ed25519": {edPublic[:31], ed.token(t, issuer, at), false},
		"Ed25519 for ES256": {edPublic, ec.token(t, issuer, at), false},
		"P-256 for EdDSA":   {ec.private.Public(), ed.token(t, issuer, at), false},
		"none":              {nil, ec.token(t, issuer, at), false},
	} {
		find := func(string) (crypto.PublicKey, error) { return test.key, nil }
		verifier := verify.NewWithKeys(issuer, audience, keyFunc(find), verify.WithClock(func() time.Time { return at }))
		if _, err := verifier.Verify(t.Context(), test.token); (err == nil) != test.valid ||
			err != nil && !errors.Is(err, verify.ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The clock of the server may be ahead by up to a minute. No token is accepted after its exp.
func TestVerifyClocks(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	issued := k.token(t, from.URL, from.clock.now())
	claims, err := from.verifier(t).Verify(t.Context(), issued)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		offset time.Duration
		valid  bool
	}{
		{-61 * time.Second, false},
		{-60*time.Second - 1, false},
		{-60 * time.Second, true},
		{0, true},
		{900*time.Second - 1, true},
		{900 * time.Second, false},
	} {
		at := from.clock.now().Truncate(time.Second).Add(test.offset)
		verifier := from.verifier(t, verify.WithClock(func() time.Time { return at }))
		if _, err := verifier.Verify(t.Context(), issued); (err == nil) != test.valid {
			t.Errorf("%s: %v", test.offset, err)
		}
		if claims.ValidAt(at) != test.valid {
			t.Errorf("the claims, %s: %t", test.offset, !test.valid)
		}
	}
}

func TestIssuersAndAudiences(t *testing.T) {
	for issuer, valid := range map[string]bool{
		"https://auth.example.com":     true,
		"https://example.com/auth":     true,
		"http://127.0.0.1:8080":        true,
		"http://[::1]:8080":            true,
		"http://localhost:8080":        true,
		"https://auth.example.com/":    false,
		"http://auth.example.com":      false,
		"http://10.0.0.1":              false,
		"http://127.0.0.1.example.com": false,
		"auth.example.com":             false,
		"":                             false,
		"ftp://127.0.0.1":              false,
		"https://":                     false,
		"https://a?b":                  false,
		"https://a#b":                  false,
		"https://u@a":                  false,
	} {
		if _, err := verify.New(issuer, audience); (err == nil) != valid {
			t.Errorf("%q: %v", issuer, err)
		}
	}
	if _, err := verify.New("https://auth.example.com", ""); err == nil {
		t.Error("an empty audience is accepted")
	}
}

// If a token is accepted, encoding/json reads the same values from it, although it ignores
// duplicate names.
func FuzzVerify(f *testing.F) {
	k := newKey(f, "EdDSA", "kid")
	const issuer = "https://issuer.example"
	at := time.Unix(2_000_000_000, 0)
	keys := func(kid string) (crypto.PublicKey, error) {
		if kid != "kid" {
			return nil, verify.ErrInvalidToken
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
		token := head
		if sign {
			token = k.sign(t, head, body)
		}
		got, err := verifier.Verify(t.Context(), token)
		if err != nil {
			if !errors.Is(err, verify.ErrInvalidToken) || !reflect.DeepEqual(got, verify.Claims{}) {
				t.Errorf("%+v, %v", got, err)
			}
			return
		}
		parts := strings.Split(token, ".")
		var header, payload map[string]any
		for i, into := range []*map[string]any{&header, &payload} {
			raw, err := base64url.DecodeString(parts[i])
			if err != nil || json.Unmarshal(raw, into) != nil {
				t.Fatalf("accepted, but not JSON: %q", raw)
			}
		}
		if len(header) != 3 || header["alg"] != "EdDSA" || header["kid"] != "kid" || header["typ"] != "at+jwt" {
			t.Errorf("accepted with header %v", header)
		}
		for name, want := range map[string]any{
			"iss": issuer, "aud": audience, "sub": got.Subject, "sid": got.Session, "jti": got.ID,
			"exp": float64(got.ExpiresAt.Unix()),
		} {
			if payload[name] != want {
				t.Errorf("accepted with %s %v, want %v", name, payload[name], want)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		b.Run(algorithm, func(b *testing.B) {
			k := newKey(b, algorithm, "kid")
			from := newIssuer(b, k)
			verifier, token := from.verifier(b), k.token(b, from.URL, from.clock.now())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
