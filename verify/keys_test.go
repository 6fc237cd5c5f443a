package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

func keyFunc(find func(kid string) (crypto.PublicKey, error)) verify.KeyFunc {
	return func(_ context.Context, kid string) (crypto.PublicKey, error) { return find(kid) }
}

type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// issuer publishes keys over HTTP, and counts who asks.
type issuer struct {
	*httptest.Server
	clock  *clock
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t testing.TB, keys ...key) *issuer {
	t.Helper()
	i := &issuer{clock: &clock{}}
	i.clock.at.Store(time.Now().UnixNano())
	i.publish(t, "public, max-age=300", keys...)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		if r.URL.Path != "/.well-known/jwks.json" || r.Method != http.MethodGet {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		(*i.answer.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) respond(handler http.HandlerFunc) { i.answer.Store(&handler) }

func (i *issuer) publish(t testing.TB, caching string, keys ...key) {
	t.Helper()
	i.respond(func(w http.ResponseWriter, _ *http.Request) {
		if caching != "" {
			w.Header().Set("Cache-Control", caching)
		}
		_, _ = w.Write([]byte(jwks(t, keys...)))
	})
}

func (i *issuer) fail() {
	i.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

func (i *issuer) verifier(t testing.TB, options ...verify.Option) *verify.Verifier {
	t.Helper()
	verifier, err := verify.New(i.URL, audience, append([]verify.Option{verify.WithClock(i.clock.now)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// expectAsked asserts how often the issuer was asked since the last time.
func (i *issuer) expectAsked(t *testing.T, when string, want int64) {
	t.Helper()
	if got := i.asked.Swap(0); got != want {
		t.Errorf("%s: the issuer was asked %d times, want %d", when, got, want)
	}
}

func jwks(t testing.TB, keys ...key) string {
	t.Helper()
	set := []map[string]string{{"kty": "RSA", "kid": "foreign", "n": "AQAB", "e": "AQAB", "alg": "RS256", "use": "sig"}}
	for _, k := range keys {
		jwk := map[string]string{"kid": k.kid, "alg": k.algorithm, "use": "sig"}
		switch public := k.private.Public().(type) {
		case ed25519.PublicKey:
			jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", base64url.EncodeToString(public)
		case *ecdsa.PublicKey:
			point, err := public.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", base64url.EncodeToString(point[1:33]), base64url.EncodeToString(point[33:])
		}
		set = append(set, jwk)
	}
	text, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func expect(t *testing.T, verifier *verify.Verifier, when, text string, want error) {
	t.Helper()
	if _, err := verifier.Verify(t.Context(), text); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", when, err, want)
	}
}

// Whoever comes while nothing is known waits for one and the same request.
func TestKeysAreFetchedOnce(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	const callers = 100
	arrived := make(chan struct{})
	publish := *from.answer.Load()
	from.respond(func(w http.ResponseWriter, r *http.Request) { <-arrived; publish(w, r) })
	verifier, text := from.verifier(t), k.token(t, from.URL, from.clock.now())
	var started, all sync.WaitGroup
	started.Add(callers)
	for range callers {
		all.Go(func() {
			started.Done()
			expect(t, verifier, "at start", text, nil)
		})
	}
	started.Wait()
	close(arrived)
	all.Wait()
	expect(t, verifier, "afterwards", text, nil)
	from.expectAsked(t, "at start", 1)
}

// Tokens of unknown keys have the issuer asked once a second, however many there are; a key that is new is found.
func TestForgedKids(t *testing.T) {
	k, next := newKey(t, "ES256", "kid"), newKey(t, "EdDSA", "next")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	genuine, later := k.token(t, from.URL, from.clock.now()), next.token(t, from.URL, from.clock.now())
	expect(t, verifier, "at start", genuine, nil)
	from.expectAsked(t, "at start", 1)
	forged := key{algorithm: "ES256", kid: "forged", private: newKey(t, "ES256", "").private}.token(t, from.URL, from.clock.now())
	flood := func() {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 50 {
					expect(t, verifier, "forged", forged, verify.ErrToken)
				}
			})
		}
		all.Wait()
	}
	flood()
	from.expectAsked(t, "in the second of the start", 0)
	for range 3 {
		from.clock.advance(time.Second)
		flood()
		from.expectAsked(t, "in each second after it", 1)
	}
	from.publish(t, "public, max-age=300", next, k)
	expect(t, verifier, "within the second", later, verify.ErrToken)
	from.clock.advance(time.Second)
	expect(t, verifier, "a new key", later, nil)
	expect(t, verifier, "the one before", genuine, nil)
	from.expectAsked(t, "for a new key", 1)
}

// Keys are kept as long as the answer says, and not longer: then a revoked one is refused.
func TestKeysAreKeptAsTheHeadersSay(t *testing.T) {
	for caching, kept := range map[string]time.Duration{
		"public, max-age=60": time.Minute, "Max-Age=2": 2 * time.Second, "": 5 * time.Minute, "max-age=x": 5 * time.Minute, "public": 5 * time.Minute,
		"max-age=999999": time.Hour, "no-store": time.Second, "max-age=60, no-cache": time.Second, "max-age=0": time.Second,
	} {
		t.Run(caching, func(t *testing.T) {
			k, next := newKey(t, "ES256", "kid"), newKey(t, "ES256", "next")
			from := newIssuer(t)
			from.publish(t, caching, k)
			verifier := from.verifier(t)
			text := func() string { return k.token(t, from.URL, from.clock.now()) }
			expect(t, verifier, "at start", text(), nil)
			from.publish(t, caching, next)
			from.clock.advance(kept - 1)
			expect(t, verifier, "while they may be kept", text(), nil)
			from.expectAsked(t, "while they may be kept", 1)
			from.clock.advance(1)
			expect(t, verifier, "then, the key being revoked", text(), verify.ErrToken)
			from.expectAsked(t, "then", 1)
		})
	}
}

// While the issuer is down, the keys last fetched count for an hour. Nothing waits for it but tokens of other keys,
// which are not called forged: nobody knows. It heals by itself.
func TestIssuerIsDown(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	from.fail()
	verifier := from.verifier(t)
	text := func() string { return k.token(t, from.URL, from.clock.now()) }
	expect(t, verifier, "down at start", text(), verify.ErrKeys)
	from.publish(t, "max-age=300", k)
	from.clock.advance(time.Second)
	expect(t, verifier, "up", text(), nil)
	from.expectAsked(t, "down and up", 2)

	from.fail()
	from.clock.advance(5 * time.Minute)
	expect(t, verifier, "the keys are old", text(), nil)
	from.expectAsked(t, "the keys are old", 1)
	hanging := make(chan struct{})
	reached := make(chan struct{}, 1)
	from.respond(func(w http.ResponseWriter, _ *http.Request) {
		reached <- struct{}{}
		<-hanging
		w.WriteHeader(http.StatusBadGateway)
	})
	from.clock.advance(time.Second)
	for range 100 {
		expect(t, verifier, "the issuer hangs", text(), nil) // would time out, each
	}
	<-reached
	other := newKey(t, "ES256", "other").token(t, from.URL, from.clock.now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verifier.Verify(ctx, other); !errors.Is(err, verify.ErrKeys) || !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait: %v", err)
	}
	close(hanging)
	expect(t, verifier, "an unknown key", other, verify.ErrKeys)
	from.expectAsked(t, "the issuer hangs", 1)

	from.fail()
	from.clock.advance(55*time.Minute - 2*time.Second)
	expect(t, verifier, "for an hour", text(), nil)
	expect(t, verifier, "for an hour", text(), nil)
	from.clock.advance(time.Second)
	expect(t, verifier, "and no longer", text(), verify.ErrKeys)
	from.publish(t, "max-age=300", k)
	from.clock.advance(time.Second)
	expect(t, verifier, "up again", text(), nil)
	expect(t, verifier, "an unknown key", other, verify.ErrToken)
}

// What is not the issuer's JWK Set of keys to verify with is no answer, and nobody else is asked.
func TestAnswersThatAreNoKeys(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	var elsewhere atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = w.Write([]byte(jwks(t, k)))
	}))
	t.Cleanup(evil.Close)
	whole := jwks(t, k)
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, http.StatusFound) },
		"not found": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(whole))
		},
		"cut off":       body(whole[:len(whole)-1]),
		"HTML":          body("<html>"),
		"no keys":       body(`{"keys":[]}`),
		"foreign keys":  body(jwks(t)),
		"to encrypt":    body(strings.ReplaceAll(whole, `"use":"sig"`, `"use":"enc"`)),
		"of no use":     body(strings.ReplaceAll(whole, `"use":"sig"`, `"use":""`)),
		"another alg":   body(strings.ReplaceAll(whole, `"ES256"`, `"ES384"`)),
		"another curve": body(strings.ReplaceAll(whole, `"P-256"`, `"secp256k1"`)),
		"off the curve": body(strings.ReplaceAll(whole, `"y":"`, `"y":"AAAA`)),
		"without a kid": body(strings.ReplaceAll(whole, `"kid":"kid"`, `"kid":""`)),
		"too long":      body(whole + strings.Repeat(" ", 64<<10)),
		"connection cut": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		from.respond(answer)
		expect(t, from.verifier(t), name, k.token(t, from.URL, from.clock.now()), verify.ErrKeys)
	}
	from.respond(body(whole + strings.Repeat(" ", 64<<10-len(whole))))
	expect(t, from.verifier(t), "as long as it may be", k.token(t, from.URL, from.clock.now()), nil)
	if elsewhere.Load() != 0 {
		t.Error("a redirect was followed")
	}
}
