package faults

import (
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const (
	recipients   = 5
	emailTimeout = time.Minute // until every email has arrived
)

// Whatever happens to the connections to the mail server, requests of reset links are acknowledged
// soon, and every email arrives after the network works again. It may arrive twice.
func TestMailNetwork(t *testing.T) {
	begin(t)
	for _, failure := range networkFailures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			box, f := newMailbox(t), &figures{}
			proxy := databasetest.NewProxy(t, box.URL())
			server := newServer(t, databasetest.SQLite, proxy.URL)
			server.Start(t)
			l := newLoad(t, databasetest.SQLite, server.API, box, f)
			for range recipients {
				if a := l.newAccount(); !l.register(a) {
					t.Fatalf("%s was not registered", a.email)
				}
			}
			f.acknowledged, f.longest = 0, 0 // the registrations do not count
			for range rounds(1, 3) {
				failure.fail(proxy)
				requestLinks(l)
				time.Sleep(time.Duration(rounds(1, 15)) * time.Second) // longer than any timeout of a connection
				proxy.Restore()
				restored := time.Now()
				for !arrived(l) {
					if time.Since(restored) > emailTimeout {
						t.Fatalf("not all emails have arrived after %s", emailTimeout)
					}
					time.Sleep(10 * time.Millisecond)
				}
				f.recovered(time.Since(restored))
			}
			if output, err := server.Stop(t, syscall.SIGTERM); err != nil {
				t.Errorf("%v\n%s", err, output)
			}
			repeated := 0
			for _, a := range l.accounts {
				repeated += box.count(a.email) - a.asked
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			publish(t, "connections to the mail server "+failure.name, f.rounds, f.acknowledged, repeated,
				seconds(f.longest), seconds(median(f.recoveries)), seconds(slices.Max(f.recoveries)))
		})
	}
}

// requestLinks requests a reset link for every account.
func requestLinks(l *load) {
	l.t.Helper()
	for _, a := range l.accounts {
		status, _ := l.post("/auth/forgot-password", map[string]string{"email": a.email})
		if status != http.StatusAccepted {
			l.t.Errorf("the request of a reset link returns %d", status)
			continue
		}
		l.acknowledge()
		a.asked++
	}
}

// arrived reports whether every email has arrived.
func arrived(l *load) bool {
	for _, a := range l.accounts {
		if l.box.count(a.email) < a.asked {
			return false
		}
	}
	return true
}
