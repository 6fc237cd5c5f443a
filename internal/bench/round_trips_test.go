package bench

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const (
	counted  = 20                     // requests whose round trips are counted
	distance = 100 * time.Millisecond // to the database, each way
	distant  = 5                      // requests that are sent over this distance
)

// BenchmarkRoundTrips measures how often an operation waits for PostgreSQL.
func BenchmarkRoundTrips(b *testing.B) {
	proxy := databasetest.NewProxy(b, databasetest.URL(b, databasetest.Postgres))
	in := prepare(b, databasetest.Postgres, proxy.URL, "SESAME_THROTTLE=on", behindProxy,
		"SESAME_EMAIL_VERIFICATION=off", // the emails are sent by themselves
		"SESAME_RELOAD_KEYS=5m")
	in.serve(b)
	in.server.mayLog = true // failures over the distance
	in.register(b)
	c := dial(b, in.address)
	network, registered := newNetwork(), 0
	login := loginFrom(emailOf(0), network)
	body, err := c.send(login, 200)
	if err != nil {
		b.Fatal(err)
	}
	first, err := parseSession(body)
	if err != nil {
		b.Fatal(err)
	}
	tokens, loggedIn := in.tokens(b), in.addSessions(b, 1000)
	operations := []struct {
		name string
		call caller
	}{
		{"login", func() error { _, err := c.send(login, 200); return err }},
		{"login-new-network", func() error { _, err := c.send(loginFrom(emailOf(1), newNetwork()), 200); return err }},
		{"register", func() error {
			registered++
			_, err := c.send(registerRequest(fmt.Sprintf("new-%d@example.com", registered), newNetwork()), 201)
			return err
		}},
		{"refresh", refreshing(c, first.refreshToken, network)},
		{"authenticate", repeating(c, request("/auth", network+"Authorization: Bearer "+first.accessToken+"\r\n", ""))},
		{"logout", loggingOut(c, tokens, loggedIn, network)},
	}
	for _, operation := range operations {
		b.Run(operation.name, func(b *testing.B) {
			var trips, took []float64
			failed := 0
			for b.Loop() { // usually once: it takes longer than -benchtime
				trips, took, failed = countTrips(b, proxy, operation.call)
			}
			b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
			b.ReportMetric(median(trips), "round-trips")
			b.ReportMetric(median(took), "distant-ms")
			b.ReportMetric(float64(failed)/distant*100, "distant-503-%")
		})
	}
}

// countTrips returns the round trips of each of several calls, the durations in milliseconds of calls
// over a distance, and how many of those were too slow for the server. The database connection is open
// and its statements are prepared, because of calls before.
func countTrips(b *testing.B, proxy *databasetest.Proxy, call caller) (trips, took []float64, failed int) {
	b.Helper()
	for i := range 1 + counted {
		before := proxy.RoundTrips()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		if i > 0 {
			trips = append(trips, float64(proxy.RoundTrips()-before))
		}
	}
	proxy.Delay(distance)
	defer proxy.Restore()
	for range distant {
		started := time.Now()
		err := call()
		switch {
		case errors.Is(err, errUnavailable):
			failed++
		case err != nil:
			b.Fatal(err)
		}
		took = append(took, time.Since(started).Seconds()*1000)
	}
	return trips, took, failed
}
