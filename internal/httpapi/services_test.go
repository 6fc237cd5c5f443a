package httpapi_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/verify"
)

// network sends requests for the public URL to the test's server, and counts them.
type network struct {
	server   *url.URL
	requests atomic.Int64
}

// RoundTrip sends a request to the server.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.requests.Add(1)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = n.server.Scheme, n.server.Host
	return http.DefaultTransport.RoundTrip(r)
}

// service returns a verifier of the server's tokens that fetches the published keys.
func service(t *testing.T, s *servertest.Server) (*verify.Verifier, *network) {
	t.Helper()
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	wire := &network{server: server}
	verifier, err := verify.New(servertest.PublicURL, servertest.PublicURL,
		verify.WithTransport(wire), verify.WithClock(s.Clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	return verifier, wire
}

// A service that caches the keys as long as allowed accepts all valid tokens while the keys rotate.
// A hundred parallel verifications at its start fetch the keys once.
func TestServicesDuringKeyRotation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		verifier, wire := service(t, s)
		tokens := s.Login(t, s.NewUser(t))
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := verifier.Verify(t.Context(), tokens.Access); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := wire.requests.Load(); got != 1 {
			t.Errorf("a hundred verifications fetched the keys %d times", got)
		}
		if _, err := s.Keys.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		var accessTokens []string
		for minute := range 30 {
			if err := s.Keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			tokens = s.Refresh(t, tokens.Refresh)
			accessTokens = append(accessTokens, tokens.Access)
			for _, access := range accessTokens[max(0, len(accessTokens)-15):] { // not yet expired
				if _, err := verifier.Verify(t.Context(), access); err != nil {
					t.Fatalf("after %d minutes: %v", minute, err)
				}
			}
			s.Clock.Advance(time.Minute)
		}
		firstHeader, _, _ := strings.Cut(accessTokens[0], ".")
		lastHeader, _, _ := strings.Cut(accessTokens[29], ".")
		if firstHeader == lastHeader {
			t.Error("the keys did not rotate")
		}
		if got := wire.requests.Load(); got != 6 {
			t.Errorf("the keys were fetched %d times in half an hour, want 6", got)
		}
	})
}

// A service does not notice a logout: it accepts the access token until it expires. It does refuse
// tokens of a revoked key, as soon as it fetches the keys again: when it sees a token of the next
// key, or when they expire.
func TestServicesAfterLogoutAndRevocation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		verifier, _ := service(t, s)
		email := s.NewUser(t)
		loggedOut, tokens := s.Login(t, email), s.Login(t, email)
		if response := s.Logout(t, loggedOut.Refresh); response.Status != http.StatusOK {
			t.Fatal(response.Raw)
		}
		if _, err := verifier.Verify(t.Context(), loggedOut.Access); err != nil {
			t.Errorf("a token after the logout: %v", err)
		}
		if err := s.Keys.Revoke(t.Context(), s.Keys.JWKs()[0].Kid); err != nil {
			t.Fatal(err)
		}
		s.Clock.Advance(time.Second)
		next := s.Refresh(t, tokens.Refresh)
		if _, err := verifier.Verify(t.Context(), tokens.Access); err != nil {
			t.Errorf("a token of the revoked key, with cached keys: %v", err)
		}
		if _, err := verifier.Verify(t.Context(), next.Access); err != nil {
			t.Errorf("a token of the next key: %v", err)
		}
		if _, err := verifier.Verify(t.Context(), tokens.Access); !errors.Is(err, verify.ErrInvalidToken) {
			t.Errorf("a token of the revoked key, with new keys: %v", err)
		}
		s.Clock.Advance(16 * time.Minute)
		if _, err := verifier.Verify(t.Context(), next.Access); !errors.Is(err, verify.ErrInvalidToken) {
			t.Errorf("an expired token: %v", err)
		}
	})
}
