package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// output is what a command that runs has printed.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// An operator reads what happened, beside the running server, and follows what happens.
func TestAuditOfARunningServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine, "SESAME_DATA_DIR="+t.TempDir())
		p.Start(t)
		p.Login(t)
		ctx, cancel := context.WithCancel(t.Context())
		followed, ended := &output{}, make(chan int)
		go func() {
			ended <- realMain(ctx, []string{"audit", "--follow", "--kind", "login"}, p.Environment, followed, followed)
		}()
		processtest.Eventually(t, "the login is printed", func() bool { return strings.Contains(followed.String(), "login success") })
		if status, _ := p.Post(t, "/auth/login", `{"email":"nobody@example.com","password":"a wrong password"}`); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
		processtest.Eventually(t, "the failure is printed", func() bool {
			return strings.Contains(followed.String(), `login failure email=nobody@example.com ip=127.0.0.1 detail="no such account"`)
		})
		cancel()
		if status := <-ended; status != 0 || strings.Contains(followed.String(), "register") {
			t.Errorf("status %d, printed:\n%s", status, followed)
		}

		status, stdout, stderr := run(t, p.Environment, "audit", "--json", "--user", "Ada@example.com")
		if status != 0 {
			t.Fatalf("%d %s", status, stderr)
		}
		var kinds []string
		for line := range strings.Lines(stdout) {
			var event audit.Event
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.Email != "ada@example.com" || event.RequestID == "" {
				t.Errorf("%s: %v", line, err)
			}
			kinds = append(kinds, string(event.Kind))
		}
		if got := strings.Join(kinds, " "); got != "register login" {
			t.Errorf("events of ada: %s", got)
		}
		if _, stdout, _ := run(t, p.Environment, "audit", "--since", "0s"); stdout != "" {
			t.Errorf("events since now: %s", stdout)
		}
		if status, _, stderr := run(t, p.Environment, "audit", "--user", "ada"); status != 2 || !strings.Contains(stderr, `"ada"`) {
			t.Errorf("no user: %d %s", status, stderr)
		}
		if status, _, stderr := run(t, p.Environment, "audit", "--kind", "login,logn"); status != 2 || !strings.Contains(stderr, `no kind "logn"; the kinds are register, login,`) {
			t.Errorf("no kind: %d %s", status, stderr)
		}
	})
}

// Text from outside neither ends a line nor steers the terminal it is printed on.
func TestPrintedEventsAreOneLine(t *testing.T) {
	var out bytes.Buffer
	event := audit.Event{Kind: audit.Login, Outcome: audit.Failure, Origin: audit.Origin{UserAgent: "x\r\n2026 login success \x1b[31m\u202e é"}}
	if err := printer(&out, false)(event); err != nil {
		t.Fatal(err)
	}
	const want = `0001-01-01T00:00:00.000Z login failure userAgent="x\r\n2026 login success \x1b[31m\u202e \u00e9"` + "\n"
	if out.String() != want {
		t.Errorf("%s, want %s", &out, want)
	}
}
