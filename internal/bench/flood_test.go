package bench

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const (
	flooding   = 200                    // connections that log in
	floodStart = 3 * time.Second        // until the first logins are refused because they waited too long
	pacedEvery = 160 * time.Millisecond // between two requests of a connection: 100 requests a second in total
)

func BenchmarkFlood(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in, benchtime := install(b, engine), benchtimeOf(b)
			sessions := in.logIn(b)
			authenticating := posting(b, in.address, func(i int) []byte {
				return request("/auth", "Authorization: Bearer "+sessions[i].accessToken+"\r\n", "")
			})
			var quiet, floor, flooded load
			var memory familyMemory
			var logins, mixed float64 // per second: of the flood alone, and next to other requests
			for b.Loop() {            // once: it takes longer than -benchtime
				if err := quiet.pace(authenticating, pacedEvery, benchtime); err != nil {
					b.Fatal(err)
				}
				if err := floor.measure(hashing(), benchtime/2); err != nil {
					b.Fatal(err)
				}
				logins = in.flood(b, benchtime, func() error { time.Sleep(benchtime); return nil })
				mixed = in.flood(b, benchtime, func() error {
					err := flooded.pace(authenticating, pacedEvery, benchtime)
					memory = in.server.familyMemory(b)
					return err
				})
				if err := floor.measure(hashing(), benchtime/2); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
			b.ReportMetric(quiet.percentile(50), "quiet-p50-ms")
			b.ReportMetric(quiet.percentile(99), "quiet-p99-ms")
			b.ReportMetric(flooded.percentile(50), "p50-ms")
			b.ReportMetric(flooded.percentile(99), "p99-ms")
			b.ReportMetric(flooded.percentile(100), "max-ms")
			b.ReportMetric(logins, "logins/s")
			b.ReportMetric(floor.perSecond(), "floor-hash/s")
			b.ReportMetric(logins/floor.perSecond(), "ratio")
			b.ReportMetric(mixed, "mixed-logins/s")
			b.ReportMetric(mixed/floor.perSecond(), "mixed-ratio")
			if in.idleMiB > 0 {
				server := in.server.memoryMiB(b, "VmHWM")
				b.ReportMetric(server, "server-MiB")
				b.ReportMetric(server-in.idleMiB, "growth-MiB")
				b.ReportMetric(memory.child, "child-MiB")
				b.ReportMetric(memory.total, "total-MiB")
			}
		})
	}
}

// flood sends logins with wrong passwords. It returns how many per second got the response that the
// password is wrong while do ran. The only other allowed responses are 429 and 503.
func (in *installation) flood(b *testing.B, window time.Duration, do func() error) float64 {
	b.Helper()
	var refused atomic.Int64
	var stop atomic.Bool
	var group errgroup.Group
	for i := range flooding {
		c := dial(b, in.address)
		login := request("/auth/login", "", fmt.Sprintf(`{"email":%q,"password":"wrong"}`, emailOf(i%connections)))
		group.Go(func() error {
			for !stop.Load() {
				status, err := c.exchange(login)
				switch {
				case err != nil:
					return err
				case status == 401:
					refused.Add(1)
				case status != 429 && status != 503:
					return fmt.Errorf("login: unexpected status %d: %s", status, c.body)
				}
			}
			return nil
		})
	}
	time.Sleep(floodStart)
	before := refused.Load()
	err := do()
	during := refused.Load() - before
	stop.Store(true)
	for _, err := range []error{err, group.Wait()} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return float64(during) / window.Seconds()
}
