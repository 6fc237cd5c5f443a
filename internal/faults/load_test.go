package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// clients is how many clients send requests at the same time.
const clients = 4

// load is the clients of a server. They check every response against the OpenAPI document.
type load struct {
	t       *testing.T
	api     string // the URL of the server
	http    *http.Client
	box     *mailbox // nil: no password is reset
	figures *figures

	mu       sync.Mutex
	accounts []*account
	checked  int       // of the accounts
	first    time.Time // when the first operation was acknowledged that ended after since
	since    time.Time
}

// newLoad returns the clients of the server at api, host:port.
func newLoad(t *testing.T, engine databasetest.Engine, api string, box *mailbox, f *figures) *load {
	t.Helper()
	transport := servertest.Document().Transport(t, string(engine))
	return &load{
		t: t, api: "http://" + api, box: box, figures: f,
		http: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	}
}

// start starts the clients. stop waits until they have ended.
func (l *load) start() (stop func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for !isClosed(ended) {
				l.use(ended, l.newAccount())
			}
		})
	}
	return func() { close(ended); running.Wait() }
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

var emails atomic.Int64

func (l *load) newAccount() *account {
	a := &account{email: fmt.Sprintf("user%d@example.com", emails.Add(1))}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accounts = append(l.accounts, a)
	return a
}

func newPassword() string { return fmt.Sprintf("a horse that is %d years old", rand.Uint64()) }

// post sends a request and returns the status, 0 if there was no response, and the members of the
// body.
func (l *load) post(path string, body any, headers ...string) (status int, members map[string]string) {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			l.t.Error(err)
		}
	}
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, l.api+path, bytes.NewReader(content))
	if err != nil {
		l.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	began := time.Now()
	response, err := l.http.Do(request)
	l.figures.answered(time.Since(began))
	if err != nil || response.StatusCode >= http.StatusInternalServerError {
		time.Sleep(10 * time.Millisecond) // as a client waits before it tries again
	}
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	var decoded map[string]any
	_ = json.NewDecoder(response.Body).Decode(&decoded) // the transport has checked it
	members = make(map[string]string)
	for name, value := range decoded {
		members[name] = fmt.Sprint(value)
	}
	if response.StatusCode < 300 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.first.IsZero() && began.After(l.since) {
			l.first = time.Now()
		}
	}
	return response.StatusCode, members
}

// succeeded reports whether an operation was acknowledged. It must not be refused.
func (l *load) succeeded(status int, operation string, args ...any) bool {
	switch {
	case status == 0 || status >= http.StatusInternalServerError:
		return false
	case status >= http.StatusBadRequest:
		l.fail(&l.figures.lost, operation+": %d", append(args, status)...)
		return false
	}
	l.acknowledge()
	return true
}

func (l *load) acknowledge() {
	l.figures.mu.Lock()
	defer l.figures.mu.Unlock()
	l.figures.acknowledged++
}

// fail counts what must not happen, and fails the test.
func (l *load) fail(counter *int, format string, args ...any) {
	l.t.Errorf(format, args...)
	l.figures.mu.Lock()
	defer l.figures.mu.Unlock()
	*counter++
}

// watch begins to wait for an operation that begins from now on and is acknowledged. await returns
// how long that took.
func (l *load) watch() (await func() time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	since := time.Now()
	l.since, l.first = since, time.Time{}
	return func() (took time.Duration) {
		processtest.Eventually(l.t, "an operation is acknowledged", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			took = l.first.Sub(since)
			return !l.first.IsZero()
		})
		return took
	}
}
