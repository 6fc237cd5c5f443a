package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// withoutDatabase are the operations that do not need the database.
var withoutDatabase = []string{"getJWKS", "getAuthorizationServerMetadata", "getOpenIDConfiguration",
	"startPasskeyLogin"}

// outage sends requests to a server without a working database.
type outage struct {
	*servertest.Server

	tokens     servertest.Tokens
	resetToken string
}

// startOutage starts a server whose database works for now. Each request may come from another
// network.
func startOutage(t *testing.T, databaseURL string) *outage {
	t.Helper()
	options := servertest.Options{Throttle: true, BehindProxy: true}
	o := &outage{Server: servertest.StartOn(t, databasetest.Postgres, databaseURL, options)}
	email := o.NewUser(t)
	o.tokens = o.Login(t, email)
	o.ForgotPassword(t, email)
	o.resetToken = o.ResetToken(t, o.NextEmail(t))
	return o
}

// call calls an operation with a valid request, and returns the response and how long it took.
func (o *outage) call(t *testing.T, operation conformance.Operation) (servertest.Response, time.Duration) {
	t.Helper()
	path, body := operation.Path, ""
	if operation.HasBody {
		valid, found := operations[operation.ID]
		if !found {
			t.Fatalf("there is no valid request of %s in the list of operations", operation.ID)
		}
		body = valid.fill(t, valid.body, o.tokens)
	}
	if operation.ID == "resetPassword" {
		path += "?token=" + o.resetToken
	}
	started := time.Now()
	response := o.Do(t, operation.Method, path, body, "Content-Type", asJSON, "Authorization", "Bearer "+o.tokens.Access,
		"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", started.UnixNano()%50), "Connection", "close")
	return response, time.Since(started)
}

// everywhere calls every operation at the same time, as often as given. It requires that those that
// need the database return 503 within the given time, and the others succeed.
func (o *outage) everywhere(t *testing.T, times int, within time.Duration) {
	t.Helper()
	var calls sync.WaitGroup
	var mu sync.Mutex
	longest := make(map[string]time.Duration)
	for _, operation := range servertest.Document().Operations() {
		want := http.StatusServiceUnavailable
		if slices.Contains(withoutDatabase, operation.ID) {
			want = http.StatusOK
		}
		for range times {
			calls.Go(func() {
				response, took := o.call(t, operation)
				if response.Status != want || took > within {
					t.Errorf("%s returns %d after %s, want %d within %s\n%s",
						operation.ID, response.Status, took, want, within, response.Raw)
				}
				mu.Lock()
				defer mu.Unlock()
				longest[operation.ID] = max(longest[operation.ID], took)
			})
		}
	}
	calls.Wait()
	t.Logf("longest responses: %v", longest)
}

// authenticateUnknown sends requests with access tokens of keys that do not exist, all at the same
// time.
func (o *outage) authenticateUnknown(t *testing.T, requests int, within time.Duration) {
	t.Helper()
	var calls sync.WaitGroup
	var mu sync.Mutex
	var longest time.Duration
	for i := range requests {
		calls.Go(func() {
			header := base64url.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256","typ":"at+jwt","kid":"unknown%d"}`, i))
			token := header + "." + strings.Join(strings.Split(o.tokens.Access, ".")[1:], ".")
			started := time.Now()
			response := o.Do(t, http.MethodPost, "/auth", "", "Authorization", "Bearer "+token, "Connection", "close")
			took := time.Since(started)
			if response.Status != http.StatusServiceUnavailable || took > within {
				t.Errorf("an unknown key: %d after %s\n%s", response.Status, took, response.Raw)
			}
			mu.Lock()
			defer mu.Unlock()
			longest = max(longest, took)
		})
	}
	calls.Wait()
	t.Logf("%d requests with unknown keys returned within %s", requests, longest)
}

// requireRecovered requires that the operations succeed again, without the previous session. The first
// ones may still get a connection that was reset before.
func (o *outage) requireRecovered(t *testing.T, goroutines int) {
	t.Helper()
	for started := time.Now(); o.ForgotPassword(t, "nobody@example.com").Status != http.StatusAccepted; {
		if time.Since(started) > 10*time.Second {
			t.Fatal("not recovered within ten seconds")
		}
	}
	o.Login(t, o.NewUser(t))
	http.DefaultClient.CloseIdleConnections()
	databasetest.RequireGoroutines(t, goroutines)
}

// While PostgreSQL does not run, because its processes are stopped, every operation returns 503 in
// time, whatever it waits for: a connection, a response, its turn, or a key that another request
// looks up. Afterwards nothing is left of them.
func TestStalledDatabase(t *testing.T) {
	postgres, err := cluster.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Stop(); err != nil {
			t.Error(err)
		}
	})
	o := startOutage(t, postgres.URL)
	t.Cleanup(func() { _ = postgres.Resume() }) // before the server is stopped, if the test ends early
	goroutines := databasetest.Goroutines()
	if err := postgres.Pause(); err != nil {
		t.Fatal(err)
	}
	const within = 14 * time.Second // requests end after ten
	o.everywhere(t, 1, within)
	var both sync.WaitGroup
	both.Go(func() { o.authenticateUnknown(t, 300, within) })
	both.Go(func() { o.everywhere(t, 8, within) })
	both.Wait()
	if err := postgres.Resume(); err != nil {
		t.Fatal(err)
	}
	o.requireRecovered(t, goroutines)
}

// While connections to the database are refused, reset or silent, every operation returns 503 in
// time. With a slow one it succeeds. Afterwards the server recovers by itself.
func TestDatabaseFaults(t *testing.T) {
	proxy := databasetest.NewProxy(t, databasetest.URL(t, databasetest.Postgres))
	o := startOutage(t, proxy.URL)
	goroutines := databasetest.Goroutines()
	for name, fault := range map[string]func(){
		"refused": proxy.Refuse,
		"reset":   func() { proxy.ResetAfter(1) },
		"silent":  proxy.Silence,
	} {
		t.Log(name)
		fault()
		o.everywhere(t, 2, 8*time.Second) // requests would otherwise end after ten
		proxy.Restore()
		o.requireRecovered(t, goroutines)
	}
	proxy.Delay(10 * time.Millisecond)
	email := o.NewUser(t)
	o.RequireActive(t, o.Login(t, email))
	if response := o.ForgotPassword(t, email); response.Status != http.StatusAccepted {
		t.Errorf("forgot password with a slow database: %d %s", response.Status, response.Raw)
	}
}

// If a connection to the database is reset at any moment, even during a commit, an operation that
// succeeded is stored. One that failed may be stored, too.
func TestNothingIsConfirmedBeforeItIsStored(t *testing.T) {
	proxy := databasetest.NewProxy(t, databasetest.URL(t, databasetest.Postgres))
	s := servertest.StartOn(t, databasetest.Postgres, proxy.URL, servertest.Options{})
	confirmed, failed := 0, 0
	for messages := 1; messages <= 60; messages++ {
		proxy.Restore()
		email := s.NewUser(t)
		refreshed, loggedOut := s.Login(t, email), s.Login(t, email)
		other := fmt.Sprintf("reset%d@example.com", messages)

		proxy.ResetAfter(messages) // of each connection, also of those that are open
		registration := s.Register(t, other)
		refresh := s.TryRefresh(t, refreshed.Refresh)
		logout := s.Logout(t, loggedOut.Refresh)
		proxy.Restore()

		for _, response := range []servertest.Response{registration, refresh, logout} {
			switch response.Status {
			case http.StatusOK, http.StatusCreated:
				confirmed++
			case http.StatusServiceUnavailable:
				failed++
			default:
				t.Errorf("after %d messages: %d %s", messages, response.Status, response.Raw)
			}
		}
		if registration.Status == http.StatusCreated {
			s.Login(t, other)
		}
		if refresh.Status == http.StatusOK {
			s.RequireActive(t, servertest.Tokens{Access: refresh.Text("accessToken"), Refresh: refresh.Text("refreshToken")})
		}
		if logout.Status == http.StatusOK {
			s.RequireEnded(t, loggedOut)
		}
	}
	t.Logf("%d operations succeeded, %d failed", confirmed, failed)
	if confirmed == 0 || failed == 0 {
		t.Error("the connections were not reset at different moments")
	}
}
