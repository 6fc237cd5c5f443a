package verify_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
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

// issuer publishes keys over HTTP and counts the requests for them.
type issuer struct {
	*httptest.Server
	clock    *clock
	requests atomic.Int64
	handler  atomic.Pointer[http.HandlerFunc]
}

func newIssuer(t testing.TB, keys ...key) *issuer {
	t.Helper()
	i := &issuer{clock: &clock{}}
	i.clock.at.Store(time.Now().UnixNano())
	i.publish(t, "public, max-age=300", keys...)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.requests.Add(1)
		if r.URL.Path != "/.well-known/jwks.json" || r.Method != http.MethodGet {
			t.Errorf("unexpected request: %s %s", r.Method, r.URL)
		}
		(*i.handler.Load())(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) respond(handler http.HandlerFunc) { i.handler.Store(&handler) }

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
	options = append([]verify.Option{verify.WithClock(i.clock.now)}, options...)
	verifier, err := verify.New(i.URL, audience, options...)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// expectRequests requires that the keys were requested this often since the previous call.
func (i *issuer) expectRequests(t *testing.T, when string, want int64) {
	t.Helper()
	if got := i.requests.Swap(0); got != want {
		t.Errorf("%s: %d requests for the keys, want %d", when, got, want)
	}
}

// jwks returns a JWK Set with the keys, and an RSA key, which the Verifier must ignore.
func jwks(t testing.TB, keys ...key) string {
	t.Helper()
	rsa := map[string]string{"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB", "alg": "RS256", "use": "sig"}
	set := []map[string]string{rsa}
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
			jwk["kty"], jwk["crv"] = "EC", "P-256"
			jwk["x"], jwk["y"] = base64url.EncodeToString(point[1:33]), base64url.EncodeToString(point[33:])
		}
		set = append(set, jwk)
	}
	text, err := json.Marshal(map[string]any{"keys": set})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func expect(t *testing.T, verifier *verify.Verifier, when, token string, want error) {
	t.Helper()
	if _, err := verifier.Verify(t.Context(), token); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", when, err, want)
	}
}

// Concurrent calls that need the keys wait for the same request.
func TestKeysAreFetchedOnce(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	const callers = 100
	proceed := make(chan struct{})
	publish := *from.handler.Load()
	from.respond(func(w http.ResponseWriter, r *http.Request) { <-proceed; publish(w, r) })
	verifier, token := from.verifier(t), k.token(t, from.URL, from.clock.now())
	var started, all sync.WaitGroup
	started.Add(callers)
	for range callers {
		all.Go(func() {
			started.Done()
			expect(t, verifier, "at start", token, nil)
		})
	}
	started.Wait()
	close(proceed)
	all.Wait()
	expect(t, verifier, "afterwards", token, nil)
	from.expectRequests(t, "at start", 1)
}

// However many tokens have unknown keys, the keys are fetched only once a second. A new key is
// found.
func TestUnknownKeys(t *testing.T) {
	k, next := newKey(t, "ES256", "kid"), newKey(t, "EdDSA", "next")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	now := from.clock.now()
	current, later := k.token(t, from.URL, now), next.token(t, from.URL, now)
	expect(t, verifier, "at start", current, nil)
	from.expectRequests(t, "at start", 1)
	forged := newKey(t, "ES256", "forged").token(t, from.URL, now)
	flood := func() {
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				for range 50 {
					expect(t, verifier, "forged", forged, verify.ErrInvalidToken)
				}
			})
		}
		all.Wait()
	}
	flood()
	from.expectRequests(t, "in the first second", 0)
	for range 3 {
		from.clock.advance(time.Second)
		flood()
		from.expectRequests(t, "in a later second", 1)
	}
	from.publish(t, "public, max-age=300", next, k)
	expect(t, verifier, "in the same second", later, verify.ErrInvalidToken)
	from.clock.advance(time.Second)
	expect(t, verifier, "the new key", later, nil)
	expect(t, verifier, "the old key", current, nil)
	from.expectRequests(t, "for the new key", 1)
}

// Keys are cached for as long as the response specifies. After that, a revoked key is refused.
func TestKeyCaching(t *testing.T) {
	for caching, maxAge := range map[string]time.Duration{
		"public, max-age=60":   time.Minute,
		"Max-Age=2":            2 * time.Second,
		"":                     5 * time.Minute,
		"max-age=x":            5 * time.Minute,
		"public":               5 * time.Minute,
		"max-age=999999":       time.Hour,
		"no-store":             time.Second,
		"max-age=60, no-cache": time.Second,
		"max-age=0":            time.Second,
	} {
		t.Run(caching, func(t *testing.T) {
			k, next := newKey(t, "ES256", "kid"), newKey(t, "ES256", "next")
			from := newIssuer(t)
			from.publish(t, caching, k)
			verifier := from.verifier(t)
			token := func() string { return k.token(t, from.URL, from.clock.now()) }
			expect(t, verifier, "at start", token(), nil)
			from.publish(t, caching, next)
			from.clock.advance(maxAge - 1)
			expect(t, verifier, "while cached", token(), nil)
			from.expectRequests(t, "while cached", 1)
			from.clock.advance(1)
			expect(t, verifier, "after the key was revoked", token(), verify.ErrInvalidToken)
			from.expectRequests(t, "after the key was revoked", 1)
		})
	}
}

// While the issuer is down, cached keys are used for an hour. Only tokens with unknown keys wait
// for a response, and they get ErrKeysUnavailable, not ErrInvalidToken, because the key may exist.
// When the issuer is up again, so is the Verifier.
func TestIssuerIsDown(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	from.fail()
	verifier := from.verifier(t)
	token := func() string { return k.token(t, from.URL, from.clock.now()) }
	expect(t, verifier, "the issuer is down at start", token(), verify.ErrKeysUnavailable)
	from.publish(t, "max-age=300", k)
	from.clock.advance(time.Second)
	expect(t, verifier, "the issuer is up", token(), nil)
	from.expectRequests(t, "the issuer was down at start", 2)

	from.fail()
	from.clock.advance(5 * time.Minute)
	expect(t, verifier, "the keys are stale", token(), nil)
	from.expectRequests(t, "the keys are stale", 1)
	hanging := make(chan struct{})
	reached := make(chan struct{}, 1)
	from.respond(func(w http.ResponseWriter, _ *http.Request) {
		reached <- struct{}{}
		<-hanging
		w.WriteHeader(http.StatusBadGateway)
	})
	from.clock.advance(time.Second)
	for range 100 {
		expect(t, verifier, "the issuer hangs", token(), nil) // does not wait for the timeout
	}
	<-reached
	other := newKey(t, "ES256", "other").token(t, from.URL, from.clock.now())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := verifier.Verify(ctx, other)
	if !errors.Is(err, verify.ErrKeysUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	close(hanging)
	expect(t, verifier, "an unknown key", other, verify.ErrKeysUnavailable)
	from.expectRequests(t, "the issuer hangs", 1)

	from.fail()
	from.clock.advance(55*time.Minute - 2*time.Second)
	expect(t, verifier, "within the hour", token(), nil)
	expect(t, verifier, "within the hour", token(), nil)
	from.clock.advance(time.Second)
	expect(t, verifier, "after the hour", token(), verify.ErrKeysUnavailable)
	from.publish(t, "max-age=300", k)
	from.clock.advance(time.Second)
	expect(t, verifier, "the issuer is up again", token(), nil)
	expect(t, verifier, "an unknown key", other, verify.ErrInvalidToken)
}

// If the clock is set back, the age of the keys is unknown: they are fetched again. If that fails,
// they are used for another hour, and not longer.
func TestKeysAfterClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{time.Second, time.Minute, 2 * time.Hour, 365 * 24 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			k, next := newKey(t, "ES256", "kid"), newKey(t, "ES256", "next")
			from := newIssuer(t, k)
			verifier := from.verifier(t)
			token := func() string { return k.token(t, from.URL, from.clock.now()) }
			expect(t, verifier, "at start", token(), nil)
			from.fail()
			from.clock.advance(-back)
			expect(t, verifier, "the issuer is down", token(), nil)
			from.expectRequests(t, "the issuer is down", 2)
			from.clock.advance(54 * time.Minute)
			expect(t, verifier, "within the hour", token(), nil)
			from.clock.advance(6 * time.Minute)
			expect(t, verifier, "after the hour", token(), verify.ErrKeysUnavailable)

			from.publish(t, "max-age=300", k)
			from.clock.advance(time.Second)
			expect(t, verifier, "the issuer is up", token(), nil)
			from.publish(t, "max-age=300", next)
			from.clock.advance(-back)
			expect(t, verifier, "the key was revoked", token(), verify.ErrInvalidToken)
		})
	}
}

// A response with too many keys is refused, and so is one that takes too long. Keys of other types
// and curves are ignored.
func TestKeySetIsBounded(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t)
	other := `{"kty":"EC","crv":"P-384","kid":"kid","alg":"ES256","use":"sig","x":"AA","y":"AA"},`
	for others, want := range map[int]error{98: nil, 99: verify.ErrKeysUnavailable} { // and an RSA key, and ours
		body := strings.Replace(jwks(t, k), "[", "["+strings.Repeat(other, others), 1)
		from.respond(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		expect(t, from.verifier(t), fmt.Sprint(others), k.token(t, from.URL, from.clock.now()), want)
	}
	bounded := transport(func(r *http.Request) (*http.Response, error) {
		if deadline, ok := r.Context().Deadline(); !ok || time.Until(deadline) > 10*time.Second {
			t.Errorf("the deadline of a request for the keys is %v", deadline)
		}
		return nil, errors.ErrUnsupported
	})
	expect(t, from.verifier(t, verify.WithTransport(bounded)), "the deadline",
		k.token(t, from.URL, from.clock.now()), verify.ErrKeysUnavailable)
}

type transport func(*http.Request) (*http.Response, error)

func (send transport) RoundTrip(r *http.Request) (*http.Response, error) { return send(r) }

// A response that is not a valid JWK Set is an error, and redirects are not followed.
func TestInvalidKeySets(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	var redirected atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		redirected.Add(1)
		_, _ = w.Write([]byte(jwks(t, k)))
	}))
	t.Cleanup(evil.Close)
	whole := jwks(t, k)
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, evil.URL, http.StatusFound) },
		"not found": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(whole))
		},
		"truncated":     body(whole[:len(whole)-1]),
		"HTML":          body("<html>"),
		"no keys":       body(`{"keys":[]}`),
		"only RSA keys": body(jwks(t)),
		"use enc":       body(strings.ReplaceAll(whole, `"use":"sig"`, `"use":"enc"`)),
		"no use":        body(strings.ReplaceAll(whole, `"use":"sig"`, `"use":""`)),
		"other alg":     body(strings.ReplaceAll(whole, `"ES256"`, `"ES384"`)),
		"other curve":   body(strings.ReplaceAll(whole, `"P-256"`, `"secp256k1"`)),
		"curve P-384":   body(strings.ReplaceAll(whole, `"P-256"`, `"P-384"`)),
		"curve Ed25519": body(strings.ReplaceAll(whole, `"P-256"`, `"Ed25519"`)),
		"symmetric":     body(strings.ReplaceAll(whole, `"EC"`, `"oct"`)),
		"not on curve":  body(strings.ReplaceAll(whole, `"y":"`, `"y":"AAAA`)),
		"no kid":        body(strings.ReplaceAll(whole, `"kid":"kid"`, `"kid":""`)),
		"too long":      body(whole + strings.Repeat(" ", 64<<10)),
		"connection closed": func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		},
	} {
		from.respond(handler)
		expect(t, from.verifier(t), name, k.token(t, from.URL, from.clock.now()), verify.ErrKeysUnavailable)
	}
	from.respond(body(whole + strings.Repeat(" ", 64<<10-len(whole))))
	expect(t, from.verifier(t), "maximum size", k.token(t, from.URL, from.clock.now()), nil)
	if redirected.Load() != 0 {
		t.Error("a redirect was followed")
	}
}
