package httpapi

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
)

const (
	// otherOperation stands for whatever is no operation of the contract: pages, unknown paths, wrong methods.
	otherOperation = "other"
	// backlogTimeout bounds the one query of a scrape.
	backlogTimeout = time.Second
)

// Metrics is what the server tells of itself in figures. No label has a value that a client chooses, so their
// number is bounded, and none has an address, a path or a token.
type Metrics struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec // its count is that of the requests
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	refused  prometheus.Counter // for want of a turn to hash
}

// NewMetrics is the figures of one server: those the edge counts, and those that its parts are asked for when
// somebody looks. pools are the database's, by name.
func NewMetrics(hasher *password.Hasher, outbox *mail.Outbox, pools map[string]*sql.DB) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sesame_http_request_duration_seconds",
			Help:    "Requests answered and the seconds that took, by operation of the contract and status.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
		}, []string{"operation", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sesame_http_requests_in_flight", Help: "Requests without a response yet."}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sesame_http_panics_total", Help: "Requests that ended in a panic and were answered 500."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sesame_hashing_refused_total", Help: "Requests answered 503 because no password could be hashed in time."}),
	}
	hashing := func(name, help string, value func(running, waiting int) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(value(hasher.Load()))
		})
	}
	m.registry.MustRegister(m.duration, m.inFlight, m.panics, m.refused,
		hashing("sesame_hashing_running", "Passwords that are being hashed.", func(running, _ int) int { return running }),
		hashing("sesame_hashing_waiting", "Passwords that wait to be hashed.", func(_, waiting int) int { return waiting }),
		backlog{outbox},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	for name, pool := range pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	return m
}

// observe counts a request.
func (m *Metrics) observe(operation string, status int, took time.Duration) {
	m.duration.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}

// handler shows the figures in Prometheus' format. What cannot be told just now is left out, and logged.
func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError,
	})
}

// backlog asks the outbox what it holds, at each scrape.
type backlog struct{ outbox *mail.Outbox }

var (
	unsentMessages = prometheus.NewDesc("sesame_outbox_messages", "Letters that have not been sent, those that failed and wait for another try included.", nil, nil)
	dueMessages    = prometheus.NewDesc("sesame_outbox_due_messages", "Letters that could be sent now.", nil, nil)
	oldestMessage  = prometheus.NewDesc("sesame_outbox_oldest_seconds", "Age of the oldest letter that has not been sent.", nil, nil)
)

func (backlog) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- unsentMessages
	descriptions <- dueMessages
	descriptions <- oldestMessage
}

func (b backlog) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	held, err := b.outbox.Backlog(ctx)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(unsentMessages, err)
		return
	}
	for description, value := range map[*prometheus.Desc]float64{
		unsentMessages: float64(held.Messages), dueMessages: float64(held.Due), oldestMessage: held.Oldest.Seconds(),
	} {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value)
	}
}
