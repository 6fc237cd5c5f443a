package httpapi

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"maps"
	runtimemetrics "runtime/metrics"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/version"
)

// backlogTimeout bounds the one query of a scrape.
const backlogTimeout = time.Second

// Watched are the parts of a server that its metrics read at each scrape.
type Watched struct {
	Ready       func() error // returns nil if the server can handle requests
	Connections *Connections
	Hasher      *password.Hasher
	Outbox      *mail.Outbox
	Keys        *signing.Keyring
	Pools       map[string]*sql.DB // of the database, by name
	WALBytes    func() int64       // the size of SQLite's write-ahead log

	CertificateExpiry func() time.Time // nil: without TLS
}

// Watch adds metrics that are read at each scrape, and those of Go and the process. Call it before
// the metrics are served.
func (m *Metrics) Watch(w Watched) { m.watched = &w }

// write reads the metrics and writes them to a page.
func (w *Watched) write(ctx context.Context, page io.Writer, log *slog.Logger) {
	gauge := func(name string, value float64) { metrics.WriteGaugeFloat64(page, name, value) }
	count := func(name string, value int64) { metrics.WriteCounterFloat64(page, name, float64(value)) }

	ready := 0.0
	if w.Ready() == nil {
		ready = 1
	}
	gauge("sesame_ready", ready)
	open, limit := w.Connections.Load()
	gauge("sesame_http_connections", float64(open))
	gauge("sesame_http_max_connections", float64(limit))
	running, waiting := w.Hasher.Load()
	gauge("sesame_hashing_running", float64(running))
	gauge("sesame_hashing_waiting", float64(waiting))
	gauge("sesame_signing_key_age_seconds", w.Keys.Age().Seconds())
	gauge("sesame_database_wal_bytes", float64(w.WALBytes()))
	if w.CertificateExpiry != nil {
		gauge("sesame_tls_certificate_expiry_timestamp_seconds", float64(w.CertificateExpiry().Unix()))
	}
	build := version.Current()
	gauge(seriesName("sesame_build_info", []string{"date", "go_version", "revision", "version"},
		build.Date, build.Go, build.Commit, build.Version), 1)

	sent, failed, givenUp := w.Outbox.Counts()
	count("sesame_outbox_sent_total", sent)
	count("sesame_outbox_failed_total", failed)
	count("sesame_outbox_given_up_total", givenUp)
	ctx, cancel := context.WithTimeout(ctx, backlogTimeout)
	defer cancel()
	if unsent, err := w.Outbox.Backlog(ctx); err != nil {
		log.Warn("sesame_outbox_messages and the other metrics of the outbox could not be read", "err", err)
	} else {
		gauge("sesame_outbox_messages", float64(unsent.Messages))
		gauge("sesame_outbox_due_messages", float64(unsent.Due))
		gauge("sesame_outbox_dead_messages", float64(unsent.Dead))
		gauge("sesame_outbox_oldest_seconds", unsent.Oldest.Seconds())
	}

	writePools(page, w.Pools)
	metrics.WriteProcessMetrics(page)
	metrics.WriteFDMetrics(page)
	gc := []runtimemetrics.Sample{{Name: "/gc/gogc:percent"}}
	runtimemetrics.Read(gc)
	metrics.WriteGaugeUint64(page, "go_gc_gogc_percent", gc[0].Value.Uint64())
}

// writePools writes the metrics of connection pools.
func writePools(page io.Writer, pools map[string]*sql.DB) {
	for _, metric := range []struct {
		name, kind string
		value      func(sql.DBStats) float64
	}{
		{"go_sql_max_open_connections", "gauge", func(s sql.DBStats) float64 { return float64(s.MaxOpenConnections) }},
		{"go_sql_open_connections", "gauge", func(s sql.DBStats) float64 { return float64(s.OpenConnections) }},
		{"go_sql_in_use_connections", "gauge", func(s sql.DBStats) float64 { return float64(s.InUse) }},
		{"go_sql_idle_connections", "gauge", func(s sql.DBStats) float64 { return float64(s.Idle) }},
		{"go_sql_wait_count_total", "counter", func(s sql.DBStats) float64 { return float64(s.WaitCount) }},
		{"go_sql_wait_duration_seconds_total", "counter", func(s sql.DBStats) float64 { return s.WaitDuration.Seconds() }},
	} {
		metrics.WriteMetadataIfNeeded(page, metric.name, metric.kind)
		for _, name := range slices.Sorted(maps.Keys(pools)) {
			value := metric.value(pools[name].Stats())
			_, _ = fmt.Fprintf(page, "%s %g\n", seriesName(metric.name, []string{"db_name"}, name), value)
		}
	}
}
