package clienttest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// wire is a transport that counts requests, and can respond to them instead of the server.
type wire struct {
	server string
	base   http.RoundTripper // for the server: checks responses against the OpenAPI document

	mu   sync.Mutex
	sent map[string]int // the number of requests by path
	// intercept returns a response and true, or false to pass the request on. nil passes all on.
	intercept func(r *http.Request) (*http.Response, error, bool)
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.sent[r.URL.Path]++
	intercept := w.intercept
	w.mu.Unlock()
	if intercept != nil {
		if response, err, done := intercept(r); done {
			if r.Body != nil {
				err = errors.Join(err, r.Body.Close())
			}
			return response, err
		}
	}
	if "http://"+r.URL.Host != w.server {
		return http.DefaultTransport.RoundTrip(r)
	}
	return w.base.RoundTrip(r)
}

func (w *wire) refreshes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent["/auth/refresh-tokens"]
}

// interceptRefreshes responds to refreshes with respond from now on. If it is nil, the server does
// again.
func (w *wire) interceptRefreshes(respond func(r *http.Request) (*http.Response, error)) {
	w.interceptPath("/auth/refresh-tokens", respond)
}

// interceptPath is like interceptRefreshes, for another path.
func (w *wire) interceptPath(path string, respond func(r *http.Request) (*http.Response, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.intercept = func(r *http.Request) (*http.Response, error, bool) {
		if respond == nil || r.URL.Path != path {
			return nil, nil, false
		}
		response, err := respond(r)
		return response, err, true
	}
}

// problem returns a response with a problem document.
func problem(r *http.Request, status int, code, retryAfter string) *http.Response {
	document := `{"type":"https://auth.example.test/problems/` + code + `","title":"T","status":500,"detail":"D",` +
		`"code":"` + code + `","instance":"urn:uuid:1"}`
	header := http.Header{"Content-Type": {"application/problem+json"}}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(document)), Request: r}
}

// session is a client that is logged in to its own server.
type session struct {
	*client.Client
	server *servertest.Server
	wire   *wire
	store  *client.MemoryStore
	email  string
}

func login(t *testing.T, engine databasetest.Engine) *session {
	t.Helper()
	return loginTo(t, servertest.Start(t, engine, servertest.Options{}))
}

func loginTo(t *testing.T, server *servertest.Server) *session {
	t.Helper()
	s := &session{server: server, store: &client.MemoryStore{}}
	s.email = s.server.NewUser(t)
	s.wire = &wire{server: s.server.URL, base: s.server.Client.Transport, sent: make(map[string]int)}
	s.Client = s.another(t)
	if err := s.Login(t.Context(), s.email, servertest.Password); err != nil {
		t.Fatal(err)
	}
	return s
}

// another returns another client with the same store.
func (s *session) another(t *testing.T, origins ...string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: s.server.URL, Origins: origins, Store: s.store, Transport: s.wire})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (s *session) tokens(t *testing.T) client.Tokens {
	t.Helper()
	tokens, err := s.store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func (s *session) change(t *testing.T, change func(*client.Tokens)) {
	t.Helper()
	err := s.store.Update(t.Context(), func(tokens client.Tokens) (client.Tokens, error) {
		change(&tokens)
		return tokens, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expire lets the access token expire on the server, but not yet on the client.
func (s *session) expire() { s.server.Clock.Advance(16 * time.Minute) }

// rotations returns how often the server has exchanged the session's refresh token.
func (s *session) rotations(t *testing.T) int64 {
	t.Helper()
	var counter int64 // 1 for a new session
	db := s.server.DB.WithContext(t.Context())
	if err := db.Table("sessions").Select("counter").Take(&counter).Error; err != nil {
		t.Fatal(err)
	}
	return counter - 1
}

// service starts a service that accepts the access token and responds with the body of the request.
// received returns the requests that it received.
func (s *session) service(t *testing.T) (url string, received func() []*http.Request) {
	t.Helper()
	var mu sync.Mutex
	var requests []*http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests = append(requests, r)
		mu.Unlock()
		body, err := io.ReadAll(r.Body)
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case err != nil:
			t.Error(err)
		case s.server.Authenticate(t, token).Status != http.StatusOK: //nolint:contextcheck // it uses t's context
			w.Header().Set("WWW-Authenticate", `Bearer realm="service", error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = w.Write(body)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []*http.Request {
		mu.Lock()
		defer mu.Unlock()
		return requests
	}
}

// isProblem requires that err is a Problem with this status and code, and returns it.
func isProblem(t *testing.T, err error, status int, code client.ProblemCode) client.Problem {
	t.Helper()
	problem, ok := errors.AsType[*client.Problem](err)
	if !ok || problem.Status != status || problem.Code != code {
		t.Fatalf("%#v, want the problem %d %s", err, status, code)
	}
	return *problem
}
