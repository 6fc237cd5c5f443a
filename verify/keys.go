package verify

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// fetchInterval is the minimum time between two fetches, whatever tokens arrive.
	fetchInterval = time.Second
	// fetchTimeout is the timeout of a fetch.
	fetchTimeout = 5 * time.Second
	// defaultMaxAge is how long keys are cached if the response does not specify it.
	defaultMaxAge = 5 * time.Minute
	// maxMaxAge limits what the response can specify.
	maxMaxAge = time.Hour
	// maxStale is how long cached keys are used if they cannot be fetched (see the package comment).
	maxStale = time.Hour
	// maxKeySet is the maximum size of a response, in bytes.
	maxKeySet = 64 << 10
	// maxKeys is the maximum number of keys in a response, including those of other types.
	maxKeys = 100
)

// keySet caches the keys of an issuer.
type keySet struct {
	url    string
	client http.Client
	now    func() time.Time

	mu      sync.Mutex
	keys    map[string]crypto.PublicKey // by kid
	fetched time.Time                   // when keys were fetched
	maxAge  time.Duration               // how long they may be cached
	started time.Time                   // when the last request started
	running chan struct{}               // closed when the running request ends; nil: none is running
	failed  error                       // of the last request
}

func newKeySet(url string, transport http.RoundTripper, now func() time.Time) *keySet {
	client := http.Client{
		Transport: transport,
		Timeout:   fetchTimeout,
		// Redirects are not followed: keys must come from the issuer itself.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &keySet{url: url, client: client, now: now}
}

// find returns a key, and fetches the keys first if necessary. It is the KeyFunc of New.
func (s *keySet) find(ctx context.Context, kid string) (crypto.PublicKey, error) {
	s.mu.Lock()
	if now := s.now(); now.Before(s.fetched) { // the clock was set back, so the age of the keys is unknown
		s.fetched = now.Add(-s.maxAge)
	}
	key, known := s.keys[kid]
	if known && s.age() < s.maxAge {
		s.mu.Unlock()
		return key, nil
	}
	if s.running == nil && s.now().Sub(s.started).Abs() >= fetchInterval {
		s.started, s.running = s.now(), make(chan struct{})
		go s.fetch(context.WithoutCancel(ctx)) // other callers wait for it too
	}
	running, usable := s.running, known && s.failed != nil && s.age() < maxStale
	s.mu.Unlock()
	if running != nil && !usable { // a known key need not wait during an outage
		select {
		case <-running:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch key, known := s.keys[kid]; {
	case known && s.age() < maxStale:
		return key, nil
	case s.failed != nil:
		return nil, s.failed
	}
	return nil, refused("kid")
}

// age returns how long ago the keys were fetched.
func (s *keySet) age() time.Duration { return s.now().Sub(s.fetched) }

// fetch fetches the keys. If that fails, the cached keys stay.
func (s *keySet) fetch(ctx context.Context) {
	keys, maxAge, err := s.request(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed = err; err == nil {
		s.keys, s.maxAge, s.fetched = keys, maxAge, s.now()
	}
	close(s.running)
	s.running = nil
}

func (s *keySet) request(ctx context.Context) (map[string]crypto.PublicKey, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = response.Body.Close() }() // it was read completely
	if response.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("%s returned %s", s.url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxKeySet {
		return nil, 0, fmt.Errorf("%s returned more than %d bytes", s.url, maxKeySet)
	}
	keys, err := parseKeySet(body)
	return keys, maxAgeOf(response.Header), err
}

// parseKeySet parses a JWK Set (RFC 7517, section 5). It ignores keys of other types, as the RFC
// requires.
func parseKeySet(body []byte) (map[string]crypto.PublicKey, error) {
	var set struct {
		Keys []struct{ Kty, Crv, X, Y, Kid, Alg, Use string }
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("read the keys: there are more than %d", maxKeys)
	}
	keys := make(map[string]crypto.PublicKey)
	for _, jwk := range set.Keys {
		x, err := base64url.DecodeString(jwk.X)
		if err != nil || jwk.Kid == "" || jwk.Use != "sig" {
			continue
		}
		switch jwk.Kty + " " + jwk.Crv + " " + jwk.Alg {
		case "EC P-256 ES256":
			y, err := base64url.DecodeString(jwk.Y)
			if err != nil || len(x) != 32 || len(y) != 32 {
				continue
			}
			point := append(append([]byte{4}, x...), y...) // uncompressed (SEC 1, section 2.3.3)
			if key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err == nil {
				keys[jwk.Kid] = key
			}
		case "OKP Ed25519 EdDSA":
			if len(x) == ed25519.PublicKeySize {
				keys[jwk.Kid] = ed25519.PublicKey(x)
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read the keys: there is no ES256 or EdDSA key")
	}
	return keys, nil
}

// maxAgeOf returns how long a response may be cached (RFC 9111, section 5.2.2).
func maxAgeOf(header http.Header) time.Duration {
	maxAge := defaultMaxAge
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
				maxAge = min(time.Duration(seconds)*time.Second, maxMaxAge)
			}
		}
	}
	return maxAge
}

// checkIssuer checks that a URL can be the iss of a token, and that its keys can be fetched
// securely.
func checkIssuer(issuer string) error {
	parsed, err := url.Parse(issuer)
	switch {
	case err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		return errors.New("must be a URL, such as https://auth.example.com")
	case strings.HasSuffix(issuer, "/"):
		return errors.New("must not end in a slash, because the iss of tokens does not")
	case parsed.Scheme == "https", parsed.Scheme == "http" && isLoopback(parsed.Hostname()):
		return nil
	}
	return errors.New("must be https, except for a loopback address")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
