package bench

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

const (
	roundTrip    = 50 * time.Millisecond
	emailsRate   = 100 // requested for each second of -benchtime
	outage       = 10 * time.Second
	acknowledged = time.Second // the instance knows by then that an email has arrived
	emailTimeout = time.Minute // until the next email arrives
)

func BenchmarkEmail(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			var hang sync.Mutex // while it is locked, messages are not acknowledged
			server := (&mailtest.Server{RTT: roundTrip, OnData: func() error {
				hang.Lock()
				defer hang.Unlock()
				return nil
			}}).Start(b)
			in := install(b, engine, "SESAME_SMTP_URL="+server.URL(), "SESAME_MAIL_FROM=no-reply@example.com")
			count := int(emailsRate * benchtimeOf(b).Seconds())
			var took, recovery, takeover time.Duration
			for b.Loop() { // once: it takes longer than -benchtime
				took = in.sendEmails(b, server, count)
				for range 3 {
					time.Sleep(acknowledged)
					server.Stop()
					in.requestEmails(b, 1)
					time.Sleep(outage)
					server.Start(b)
					recovery = max(recovery, awaitEmail(b, server))
				}
				takeover = in.takeOver(b, server, &hang)
			}
			b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
			b.ReportMetric(float64(count)/took.Seconds(), "emails/s")
			b.ReportMetric(recovery.Seconds(), "recovery-s")
			b.ReportMetric(takeover.Seconds(), "takeover-s")
		})
	}
}

// requestEmails requests reset links.
func (in *installation) requestEmails(b *testing.B, count int) {
	b.Helper()
	c := dial(b, in.address)
	for i := range count {
		r := request("/auth/forgot-password", "", fmt.Sprintf(`{"email":%q}`, emailOf(i%connections)))
		if _, err := c.send(r, 202); err != nil {
			b.Fatal(err)
		}
	}
}

// sendEmails requests emails and returns how long it took until the last one arrived.
func (in *installation) sendEmails(b *testing.B, server *mailtest.Server, count int) time.Duration {
	b.Helper()
	started := time.Now()
	in.requestEmails(b, count)
	for range count {
		awaitEmail(b, server)
	}
	return time.Since(started)
}

// takeOver kills the server while it is sending an email. It returns how long it took from then on
// until another server had sent it, or on SQLite, which has one server, until the same had after a
// restart.
func (in *installation) takeOver(b *testing.B, server *mailtest.Server, hang *sync.Mutex) time.Duration {
	b.Helper()
	time.Sleep(acknowledged)
	hang.Lock()
	in.requestEmails(b, 1)
	time.Sleep(time.Second) // until it hangs
	startAnother := func() {
		admin := porttest.Address(b)
		listeners := []string{"SESAME_ADDR=" + porttest.Address(b), "SESAME_ADMIN_ADDR=" + admin}
		start(b, slices.Concat(in.environment, listeners), "sesame", "serve").awaitReady(b, admin)
	}
	if in.engine == databasetest.Postgres {
		startAnother()
	}
	in.server.kill(b)
	killed := time.Now()
	if in.engine == databasetest.SQLite {
		startAnother()
	}
	server.Disconnect()
	hang.Unlock()
	for range 2 { // the mail server has accepted the first one too late
		awaitEmail(b, server)
	}
	return time.Since(killed)
}

func awaitEmail(b *testing.B, server *mailtest.Server) time.Duration {
	b.Helper()
	started := time.Now()
	select {
	case <-server.Received:
	case <-time.After(emailTimeout):
		b.Fatalf("no email within %s", emailTimeout)
	}
	return time.Since(started)
}
