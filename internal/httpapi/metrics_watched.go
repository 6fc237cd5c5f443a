package httpapi

import (
	"context"
	"database/sql"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

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

// Watch adds metrics that are read at each scrape. Call it once.
func (m *Metrics) Watch(w Watched) {
	read := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	count := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(
		read("sesame_ready", "1 if /readyz returns 200, and 0 otherwise.", func() float64 {
			if w.Ready() != nil {
				return 0
			}
			return 1
		}),
		read("sesame_http_connections", "Open connections.",
			func() float64 { open, _ := w.Connections.Load(); return float64(open) }),
		read("sesame_http_max_connections", "How many connections may be open.",
			func() float64 { _, limit := w.Connections.Load(); return float64(limit) }),
		read("sesame_hashing_running", "Passwords being hashed.",
			func() float64 { running, _ := w.Hasher.Load(); return float64(running) }),
		read("sesame_hashing_waiting", "Passwords waiting to be hashed.",
			func() float64 { _, waiting := w.Hasher.Load(); return float64(waiting) }),
		count("sesame_outbox_sent_total", "Emails that the mail server accepted from this server.",
			func() float64 { sent, _, _ := w.Outbox.Counts(); return float64(sent) }),
		count("sesame_outbox_failed_total", "Attempts of this server to send an email that failed.",
			func() float64 { _, failed, _ := w.Outbox.Counts(); return float64(failed) }),
		count("sesame_outbox_given_up_total", "Emails that this server gave up.",
			func() float64 { _, _, givenUp := w.Outbox.Counts(); return float64(givenUp) }),
		read("sesame_signing_key_age_seconds", "How long the active key has been signing.",
			func() float64 { return w.Keys.Age().Seconds() }),
		read("sesame_database_wal_bytes", "Size of the write-ahead log of SQLite; 0 with PostgreSQL.",
			func() float64 { return float64(w.WALBytes()) }),
		backlog{w.Outbox},
		buildInfo(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if w.CertificateExpiry != nil {
		m.registry.MustRegister(read("sesame_tls_certificate_expiry_timestamp_seconds",
			"When the TLS certificate expires, in seconds since 1970.",
			func() float64 { return float64(w.CertificateExpiry().Unix()) }))
	}
	for name, pool := range w.Pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
}

// buildInfo is a gauge that is always 1. Its labels say how the program was built.
func buildInfo() prometheus.Collector {
	build := version.Current()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sesame_build_info",
		Help: "Always 1. The labels are the versions of the program and of Go, and the commit and its date.",
		ConstLabels: prometheus.Labels{
			"version": build.Version, "revision": build.Commit, "date": build.Date, "go_version": build.Go,
		},
	})
	info.Set(1)
	return info
}

// backlog reads the outbox at each scrape.
type backlog struct{ outbox *mail.Outbox }

var (
	unsentMessages = prometheus.NewDesc("sesame_outbox_messages",
		"Emails not sent yet, including those that failed and will be retried.", nil, nil)
	dueMessages = prometheus.NewDesc("sesame_outbox_due_messages",
		"Emails that are due to be sent now.", nil, nil)
	deadMessages = prometheus.NewDesc("sesame_outbox_dead_messages",
		"Emails that were given up, and are kept for a week.", nil, nil)
	oldestMessage = prometheus.NewDesc("sesame_outbox_oldest_seconds",
		"Age of the oldest email that is not sent yet.", nil, nil)
)

func (backlog) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- unsentMessages
	descriptions <- dueMessages
	descriptions <- deadMessages
	descriptions <- oldestMessage
}

func (b backlog) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	unsent, err := b.outbox.Backlog(ctx)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(unsentMessages, err)
		return
	}
	for description, value := range map[*prometheus.Desc]float64{
		unsentMessages: float64(unsent.Messages),
		dueMessages:    float64(unsent.Due),
		deadMessages:   float64(unsent.Dead),
		oldestMessage:  unsent.Oldest.Seconds(),
	} {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value)
	}
}
