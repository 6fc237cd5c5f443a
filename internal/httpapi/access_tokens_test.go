package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

var base64url = base64.RawURLEncoding

// jwks returns the published key, read over HTTP as RFC 7517 says, like a service would.
func jwks(t *testing.T, s *servertest.Server) (kid string, public *ecdsa.PublicKey) {
	t.Helper()
	response := s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
	if response.Header.Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("Cache-Control is %q", response.Header.Get("Cache-Control"))
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(response.Raw), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("keys: %s", response.Raw)
	}
	key := set.Keys[0]
	if key["kty"] != "EC" || key["crv"] != "P-256" || key["alg"] != "ES256" || key["use"] != "sig" || key["d"] != "" {
		t.Errorf("key: %v", key)
	}
	point := []byte{4} // uncompressed (SEC 1, section 2.3.3)
	for _, coordinate := range []string{"x", "y"} {
		raw, err := base64url.DecodeString(key[coordinate])
		if err != nil || len(raw) != 32 {
			t.Fatalf("%s: %v", coordinate, err)
		}
		point = append(point, raw...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	// RFC 7638, section 3.
	thumbprint := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + key["x"] + `","y":"` + key["y"] + `"}`))
	if base64url.EncodeToString(thumbprint[:]) != key["kid"] {
		t.Error("kid is not the thumbprint")
	}
	return key["kid"], public
}

// A service can verify an access token with only the published keys. The token contains no personal
// data.
func TestAccessTokenVerifiesWithPublishedKeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		s.Clock.Stop() // so that the login and its token have the same second
		now := s.Clock.Now().Unix()
		parts := strings.Split(s.Login(t, email).Access, ".")
		kid, public := jwks(t, s)
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		signature, err := base64url.DecodeString(parts[2])
		if err != nil || len(signature) != 64 {
			t.Fatalf("signature: %v", err)
		}
		r, sig := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if !ecdsa.Verify(public, digest[:], r, sig) {
			t.Error("the published key does not verify the token")
		}
		header, claims := parsePart(t, parts[0]), parsePart(t, parts[1])
		if len(header) != 3 || header["alg"] != "ES256" || header["typ"] != "at+jwt" || header["kid"] != kid {
			t.Errorf("header: %v", header)
		}
		for claim, want := range map[string]any{
			"iss":            servertest.PublicURL,
			"aud":            servertest.PublicURL,
			"client_id":      "sesame",
			"email_verified": false,
			"acr":            "aal1",
		} {
			if claims[claim] != want {
				t.Errorf("%s is %v", claim, claims[claim])
			}
		}
		iat, _ := claims["iat"].(float64)
		exp, _ := claims["exp"].(float64)
		if int64(iat) != now || exp-iat != 900 || claims["auth_time"] != claims["iat"] {
			t.Errorf("times: %v", claims)
		}
		names := []string{"iss", "aud", "sub", "sid", "jti", "iat", "exp", "client_id", "auth_time", "amr", "acr",
			"email_verified"}
		if len(claims) != len(names) || strings.Contains(decodePart(t, parts[1]), email) {
			t.Errorf("claims: %v", claims)
		}
	})
}

func decodePart(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64url.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func parsePart(t *testing.T, text string) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(decodePart(t, text)), &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// Tokens that an attacker forges from public information are refused.
func TestForgedAccessTokens(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		genuine := s.Login(t, s.NewUser(t)).Access
		parts := strings.Split(genuine, ".")
		header, claims := parsePart(t, parts[0]), parsePart(t, parts[1])
		_, public := jwks(t, s)
		otherKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		hs256 := func(key []byte) func(string) []byte {
			return func(signed string) []byte {
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte(signed))
				return mac.Sum(nil)
			}
		}
		es256 := func(signed string) []byte {
			digest := sha256.Sum256([]byte(signed))
			r, sig, err := ecdsa.Sign(rand.Reader, otherKey, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			return append(r.FillBytes(make([]byte, 32)), sig.FillBytes(make([]byte, 32))...)
		}
		unsigned := func(string) []byte { return nil }
		genuineSignature := func(string) []byte { return []byte(decodePart(t, parts[2])) }
		forge := func(change map[string]any, sign func(string) []byte) string {
			changed := maps.Clone(header)
			maps.Copy(changed, change)
			head, err := json.Marshal(changed)
			if err != nil {
				t.Fatal(err)
			}
			signed := base64url.EncodeToString(head) + "." + parts[1]
			return signed + "." + base64url.EncodeToString(sign(signed))
		}
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		forged := map[string]string{
			"alg none":                 forge(map[string]any{"alg": "none"}, unsigned),
			"alg NoNe":                 forge(map[string]any{"alg": "NoNe"}, unsigned),
			"alg none, same signature": forge(map[string]any{"alg": "none"}, genuineSignature),
			"HS256 with the PEM":       forge(map[string]any{"alg": "HS256"}, hs256(publicPEM)),
			"HS256 with the DER":       forge(map[string]any{"alg": "HS256"}, hs256(der)),
			"HS256 with the point":     forge(map[string]any{"alg": "HS256"}, hs256(point)),
			"another key, our kid":     forge(nil, es256),
			"another key in jwk":       forge(map[string]any{"jwk": map[string]any{"kty": "EC"}}, es256),
			"jku":                      forge(map[string]any{"jku": s.URL + "/keys"}, es256),
			"no signature":             parts[0] + "." + parts[1] + ".",
			"two parts":                parts[0] + "." + parts[1],
			"four parts":               genuine + "." + parts[2],
			"padding":                  genuine + "=",
			"empty":                    "..",
		}
		claims["sub"] = "00000000-0000-7000-8000-000000000001"
		body, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		forged["another user's claims"] = parts[0] + "." + base64url.EncodeToString(body) + "." + parts[2]
		for name, text := range forged {
			response := s.Authenticate(t, text)
			if response.Status != http.StatusUnauthorized || response.Code() != "invalid_access_token" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		// Change the lowest bit of each character of the signature. A lax decoder ignores some bits of
		// the last character.
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for at := len(genuine) - len(parts[2]); at < len(genuine); at++ {
			other := alphabet[strings.IndexByte(alphabet, genuine[at])^1]
			response := s.Authenticate(t, genuine[:at]+string(other)+genuine[at+1:])
			if response.Status != http.StatusUnauthorized {
				t.Errorf("character %d of the signature changed: %d", at, response.Status)
			}
		}
		if response := s.Authenticate(t, genuine); response.Status != http.StatusOK {
			t.Errorf("the genuine token: %d", response.Status)
		}
	})
}
