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

// network is where the public URL leads to in a test; it counts requests.
type network struct {
	server *url.URL
	asked  atomic.Int64
}

// RoundTrip sends a request to the server.
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked.Add(1)
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = n.server.Scheme, n.server.Host
	return http.DefaultTransport.RoundTrip(r)
}

// service verifies the server's tokens by its published keys.
func service(t *testing.T, s *servertest.Server) (*verify.Verifier, *network) {
	t.Helper()
	server, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	wire := &network{server: server}
	verifier, err := verify.New(servertest.PublicURL, servertest.PublicURL, verify.WithTransport(wire), verify.WithClock(s.Clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	return verifier, wire
}

// A service that keeps the keys as long as it may refuses no good token while they rotate, and fetches them no more
// often than it must: a hundred at once at start, once.
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
		if got := wire.asked.Load(); got != 1 {
			t.Errorf("a hundred at start asked %d times", got)
		}
		if _, err := s.Keys.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		var alive []string
		for minute := range 30 {
			if err := s.Keys.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
			tokens = s.Refresh(t, tokens.Refresh)
			alive = append(alive, tokens.Access)
			for _, access := range alive[max(0, len(alive)-15):] {
				if _, err := verifier.Verify(t.Context(), access); err != nil {
					t.Fatalf("after %d minutes: %v", minute, err)
				}
			}
			s.Clock.Advance(time.Minute)
		}
		if first, last := strings.Split(alive[0], ".")[0], strings.Split(alive[29], ".")[0]; first == last {
			t.Error("the keys did not rotate")
		}
		if got := wire.asked.Load(); got != 6 {
			t.Errorf("half an hour asked %d times", got)
		}
	})
}

// What verification elsewhere cannot know: a session that was logged out goes on there until its token expires. A
// revoked key does not: its tokens are refused once those of the next key are met, or the keys are old.
func TestServicesAfterLogoutAndRevocation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		verifier, _ := service(t, s)
		email := s.NewUser(t)
		gone, tokens := s.Login(t, email), s.Login(t, email)
		if response := s.Logout(t, gone.Refresh); response.Status != http.StatusOK {
			t.Fatal(response.Raw)
		}
		if _, err := verifier.Verify(t.Context(), gone.Access); err != nil {
			t.Errorf("after the logout: %v", err)
		}
		if err := s.Keys.Revoke(t.Context(), s.Keys.JWKs()[0].Kid); err != nil {
			t.Fatal(err)
		}
		s.Clock.Advance(time.Second)
		next := s.Refresh(t, tokens.Refresh)
		if _, err := verifier.Verify(t.Context(), tokens.Access); err != nil {
			t.Errorf("while the keys are kept: %v", err)
		}
		if _, err := verifier.Verify(t.Context(), next.Access); err != nil {
			t.Errorf("of the next key: %v", err)
		}
		if _, err := verifier.Verify(t.Context(), tokens.Access); !errors.Is(err, verify.ErrToken) {
			t.Errorf("of the revoked key: %v", err)
		}
		s.Clock.Advance(16 * time.Minute)
		if _, err := verifier.Verify(t.Context(), next.Access); !errors.Is(err, verify.ErrToken) {
			t.Errorf("expired: %v", err)
		}
	})
}
