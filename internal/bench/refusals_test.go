package bench

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const (
	refusing   = 64                                               // connections that are refused
	refusals   = 5000                                             // requests a second in total
	refusedPer = refusing * time.Second / refusals                // between two requests of a connection
	spending   = 150                                              // attempts, which use up every budget
	spentEmail = "nobody@example.com"                             // that the refused requests name
	spent      = `{"email":"` + spentEmail + `","password":"no"}` // their body
)

// BenchmarkRefusals measures how much a flood of requests that the rate limits refuse disturbs
// refreshes.
func BenchmarkRefusals(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			b.Run("one-network", func(b *testing.B) {
				network := newNetwork()
				measureRefusals(b, engine, func() string { return network })
			})
			b.Run("new-networks", func(b *testing.B) { measureRefusals(b, engine, newNetwork) })
		})
	}
}

// refusal is a flood of refused requests: how many there were, and what they cost.
type refusal struct {
	count  float64
	cpu    time.Duration // of the client, the server and the database, without other requests
	grown  int64         // bytes of the database, without other requests
	window time.Duration
}

func measureRefusals(b *testing.B, engine databasetest.Engine, network func() string) {
	b.Helper()
	in := install(b, engine, "SESAME_THROTTLE=on", behindProxy)
	in.logDurability(b)
	size := openRows(b, engine, in.databaseURL)
	refused := in.refused(b, network)
	tokens := in.tokens(b)
	var refresh []caller
	for _, of := range in.addSessions(b, connections) {
		refresh = append(refresh, refreshing(dial(b, in.address), tokens.refreshOf(of), newNetwork()))
	}
	var quiet, flooded load
	var alone, next refusal
	measure := func(l *load, callers []caller) {
		if err := l.measure(callers, turn); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() { // once: it takes longer than -benchtime
		for left := benchtimeOf(b); left > 0; left -= turn {
			measure(&quiet, refresh)
			before, err := size.bytes(b.Context())
			cpu := in.cpuTimes(b, size)
			flood(b, &alone, refused, func() { time.Sleep(warmUp + turn) })
			alone.cpu += in.cpuTimes(b, size) - cpu
			after, errAfter := size.bytes(b.Context())
			if err := errors.Join(err, errAfter); err != nil {
				b.Fatal(err)
			}
			alone.grown += after - before
			flood(b, &next, refused, func() { measure(&flooded, refresh) })
		}
	}
	b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
	b.ReportMetric(quiet.perSecond(), "quiet-req/s")
	b.ReportMetric(quiet.percentile(99), "quiet-p99-ms")
	b.ReportMetric(flooded.perSecond(), "req/s")
	b.ReportMetric(flooded.percentile(99), "p99-ms")
	b.ReportMetric(next.count/next.window.Seconds(), "refusals/s")
	b.ReportMetric(float64(alone.grown)/alone.count, "B/refusal")
	each := alone.cpu.Seconds() / alone.count
	b.ReportMetric(each*1e6, "cpu-us/refusal")
	share := each * next.count / next.window.Seconds() / float64(runtime.NumCPU())
	b.ReportMetric(share, "cpu-share")
	b.ReportMetric(flooded.perSecond()/(quiet.perSecond()*(1-share)), "ratio")
}

// refused returns callers that log in and are refused, because the budgets of their email or network
// are spent.
func (in *installation) refused(b *testing.B, network func() string) []caller {
	b.Helper()
	login := func() []byte { return request("/auth/login", network(), spent) }
	first := dial(b, in.address)
	for range spending {
		if _, err := first.exchange(login()); err != nil {
			b.Fatal(err)
		}
	}
	callers := make([]caller, refusing)
	for i := range callers {
		c := dial(b, in.address)
		callers[i] = func() error {
			status, err := c.exchange(login())
			if err == nil && status != 429 && status != 401 { // a budget refills slowly
				err = fmt.Errorf("unexpected status %d: %s", status, c.body)
			}
			return err
		}
	}
	return callers
}

// flood sends refused requests at their rate while do runs. If the server is slower, they come as fast
// as it responds.
func flood(b *testing.B, r *refusal, callers []caller, do func()) {
	b.Helper()
	var stop atomic.Bool
	var count atomic.Int64
	var group errgroup.Group
	started := time.Now()
	for i, call := range callers {
		due := started.Add(refusedPer * time.Duration(i) / refusing)
		group.Go(func() error {
			for !stop.Load() {
				time.Sleep(time.Until(due))
				if err := call(); err != nil {
					return err
				}
				count.Add(1)
				if due = due.Add(refusedPer); time.Since(due) > time.Second {
					due = time.Now() // does not catch up
				}
			}
			return nil
		})
	}
	do()
	stop.Store(true)
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	r.count += float64(count.Load())
	r.window += time.Since(started)
}

var warnCPU = sync.OnceFunc(func() {
	_, _ = fmt.Fprintln(os.Stderr, "the processor time of PostgreSQL is not measured: it is on another machine")
})

// cpuTimes returns the processor time of this process, the server and the database's connections.
func (in *installation) cpuTimes(b *testing.B, r *rows) time.Duration {
	b.Helper()
	own, err := cpuTimeOf(os.Getpid())
	if err != nil {
		b.Skip("the processor time of another process is measured on Linux only")
	}
	total := own + in.server.cpuTime(b)
	if in.engine == databasetest.SQLite {
		return total
	}
	query := "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
	err = r.query(b.Context(), query, func(row *sql.Rows) error {
		var pid int
		if err := row.Scan(&pid); err != nil {
			return err
		}
		spent, err := cpuTimeOf(pid)
		if err != nil {
			warnCPU()
		}
		total += spent
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}
