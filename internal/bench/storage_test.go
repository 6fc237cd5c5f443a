package bench

import (
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// storageUsers is the number of users of BenchmarkStorage.
const storageUsers = 200_000

// BenchmarkStorage measures what the rows of a large database take, and how fast the server reads all
// sessions when it looks for expired ones.
func BenchmarkStorage(b *testing.B) {
	hash := passwordHashOf(b)
	b.Run(string(databasetest.Postgres), func(b *testing.B) {
		databaseURL := databasetest.URL(b, databasetest.Postgres)
		stored := &size{users: storageUsers, in: prepare(b, databasetest.Postgres, databaseURL)}
		r := openRows(b, stored.in.engine, databaseURL)
		if err := buildEach(b.Context(), []*size{stored}, []*rows{r}, hash); err != nil {
			b.Fatal(err)
		}
		r = openRows(b, stored.in.engine, databaseURL) // buildEach closes its connection
		r.mustExec(b, r.numberUsers()...)
		r.mustExec(b, r.networksOf(storageUsers), "VACUUM ANALYZE known_networks")
		var seconds []float64
		for b.Loop() {
			started := time.Now()
			stored.in.serve(b) // the server looks for expired rows when it starts, and then counts
			stored.in.awaitCount(b, "sesame_sessions", storageUsers)
			seconds = append(seconds, time.Since(started).Seconds())
			stored.in.server.stop(b)
		}
		b.ReportMetric(0, "ns/op") // 0 hides it: a median is more stable
		// The purge reads the sessions once; counting reads the users and the sessions.
		b.ReportMetric(3*storageUsers/median(seconds), "read-rows/s")
		for table, unit := range map[string]string{
			"users": "B/user", "sessions": "B/session", "audit_events": "B/event", "throttle": "B/limit",
			"known_networks": "B/network",
		} {
			b.ReportMetric(r.bytesOfRow(b, table), unit)
		}
	})
}

// bytesOfRow returns how many bytes a row of a table takes on PostgreSQL, with its indexes.
func (r *rows) bytesOfRow(b *testing.B, table string) (bytes float64) {
	b.Helper()
	query := fmt.Sprintf("SELECT pg_total_relation_size('%[1]s')::float / count(*) FROM %[1]s", table)
	if err := r.query(b.Context(), query, func(row *sql.Rows) error { return row.Scan(&bytes) }); err != nil {
		b.Fatal(err)
	}
	return bytes
}

// awaitCount waits until a metric without labels has a value.
func (in *installation) awaitCount(b *testing.B, metric string, want float64) {
	b.Helper()
	line := regexp.MustCompile(`(?m)^` + metric + ` (\S+)$`)
	for {
		response, err := http.Get("http://" + in.admin + "/metrics")
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			b.Fatal(err)
		}
		if found := line.FindSubmatch(body); found != nil {
			if value, err := strconv.ParseFloat(string(found[1]), 64); err == nil && value == want {
				return
			}
		}
		select {
		case <-b.Context().Done():
			b.Fatal(b.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
