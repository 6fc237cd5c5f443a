package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// networkFailures are failures of the network to another server, in the order of the page.
var networkFailures = []struct {
	name  string
	fail  func(*databasetest.Proxy)
	lasts int // seconds in a short test
}{
	{"refused", (*databasetest.Proxy).Refuse, 1},
	{"reset", func(p *databasetest.Proxy) { p.ResetAfter(5 + rand.IntN(60)) }, 1},
	{"silent", (*databasetest.Proxy).Silence, 3}, // requests end after 2.5 seconds
	{"slow", func(p *databasetest.Proxy) { p.Delay(50 * time.Millisecond) }, 1},
}

// Whatever happens to the connections to PostgreSQL, nothing is lost that was acknowledged, and the
// server works again soon after the network does.
func TestDatabaseNetwork(t *testing.T) {
	begin(t)
	for _, failure := range networkFailures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			proxy := databasetest.NewProxy(t, databasetest.URL(t, databasetest.Postgres))
			box, f := newMailbox(t), &figures{}
			server := newServer(t, databasetest.Postgres, box.URL(), "SESAME_DATABASE_URL="+proxy.URL)
			server.Start(t)
			l := newLoad(t, databasetest.Postgres, server.API, box, f)
			for range rounds(1, 5) {
				await := l.watch()
				stop := l.start()
				await()
				failure.fail(proxy)
				time.Sleep(time.Duration(rounds(failure.lasts, 5)) * time.Second)
				proxy.Restore()
				took := l.watch()()
				f.recovered(took)
				if took > recoveryAllowed {
					t.Errorf("the first write succeeded %s after the network worked again", took)
				}
				time.Sleep(200 * time.Millisecond) // so that some operations happen without a failure
				stop()
				l.check()
			}
			l.checkSessions()
			f.report(t, "connections to PostgreSQL "+failure.name)
			if f.longest > longestAllowed {
				t.Errorf("a response took %s", f.longest)
			}
		})
	}
}
