package bench

import (
	"fmt"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const mostConnections = 128

// BenchmarkConnections measures POST /auth and refreshes with 1, 2, 4 … 128 connections.
func BenchmarkConnections(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			in.logDurability(b)
			tokens := in.tokens(b)
			var authenticate, refresh []caller
			for _, of := range in.addSessions(b, mostConnections) {
				c, r := dial(b, in.address), request("/auth", "Authorization: Bearer "+tokens.accessOf(b, of)+"\r\n", "")
				authenticate = append(authenticate, repeating(c, r))
				refresh = append(refresh, refreshing(c, tokens.refreshOf(of), ""))
			}
			for n := 1; n <= mostConnections; n *= 2 {
				b.Run(fmt.Sprintf("authenticate/connections=%d", n), func(b *testing.B) { reportLoad(b, authenticate[:n]) })
				b.Run(fmt.Sprintf("refresh/connections=%d", n), func(b *testing.B) { reportLoad(b, refresh[:n]) })
			}
		})
	}
}

// reportLoad measures callers for the duration of -benchtime.
func reportLoad(b *testing.B, callers []caller) {
	b.Helper()
	var l load
	for b.Loop() { // once: it takes longer than -benchtime
		if err := l.measure(callers, benchtimeOf(b)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
	b.ReportMetric(l.perSecond(), "req/s")
	b.ReportMetric(l.percentile(50), "p50-ms")
	b.ReportMetric(l.percentile(99), "p99-ms")
}
