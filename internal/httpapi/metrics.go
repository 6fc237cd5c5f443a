package httpapi

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// otherOperation is the label of requests to no operation: pages, unknown paths, wrong methods.
const otherOperation = "other"

// Metrics are the server's Prometheus metrics. Clients cannot choose the values of labels, so the
// number of time series is bounded, and no label contains an email, an IP address, a path or a
// token.
type Metrics struct {
	registry *prometheus.Registry

	duration *prometheus.HistogramVec // also counts the requests
	inFlight prometheus.Gauge
	panics   prometheus.Counter

	outcomes  *prometheus.CounterVec
	factors   *prometheus.CounterVec
	throttled *prometheus.CounterVec
	users     prometheus.Gauge
	sessions  prometheus.Gauge

	hashing    prometheus.Histogram
	refused    prometheus.Counter // because hashing was busy
	statements *prometheus.HistogramVec
}

// NewMetrics returns the metrics of one server, which others count. See also Watch.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.duration = m.histogram("sesame_http_request_duration_seconds",
		"Duration of requests in seconds, by operationId and status.",
		[]float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}, "operation", "status")
	m.inFlight = m.gauge("sesame_http_requests_in_flight", "Requests in flight.")
	m.panics = m.counter("sesame_http_panics_total", "Requests that panicked and returned 500.")
	m.outcomes = m.counters("sesame_outcomes_total",
		"Calls of login, register, refresh, reset-password and others, by outcome.", "operation", "outcome")
	for _, outcome := range []string{"reused", "replayed-elsewhere"} {
		m.outcomes.WithLabelValues("refresh", outcome) // 0, so that an alert notices the first one
	}
	m.factors = m.counters("sesame_factors_total",
		"Uses of authenticator apps, recovery codes and passkeys, by outcome.", "factor", "outcome")
	m.throttled = m.counters("sesame_throttled_total", "Attempts that a rate limit refused, by limit.", "limit")
	m.users = m.gauge("sesame_users", "Accounts, at start and every hour.")
	m.sessions = m.gauge("sesame_sessions", "Valid sessions, at start and every hour.")
	m.hashing = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "sesame_hashing_duration_seconds",
		Help:    "Duration of hashing a password in seconds, without waiting.",
		Buckets: []float64{.01, .02, .03, .05, .1, .2, .5, 1, 2, 5, 10},
	})
	m.registry.MustRegister(m.hashing)
	m.refused = m.counter("sesame_hashing_refused_total",
		"Requests that returned 503 because the password could not be hashed in time.")
	m.statements = m.histogram("sesame_database_statement_duration_seconds",
		"Duration of SQL statements in seconds, by their first word, or of a BATCH; without BEGIN and COMMIT.",
		[]float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2.5}, "statement")
	return m
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(counter)
	return counter
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	counters := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(counters)
	return counters
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(gauge)
	return gauge
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	histogram := prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(histogram)
	return histogram
}

// observe records a request.
func (m *Metrics) observe(operation string, status int, took time.Duration) {
	m.duration.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}

// Outcome counts a call of an operation. Metrics implements auth.Observer.
func (m *Metrics) Outcome(operation, outcome string) {
	m.outcomes.WithLabelValues(operation, outcome).Inc()
}

// Factor counts a use of a second factor or a passkey.
func (m *Metrics) Factor(factor, outcome string) { m.factors.WithLabelValues(factor, outcome).Inc() }

// Stored records the number of users and of valid sessions.
func (m *Metrics) Stored(users, sessions int64) {
	m.users.Set(float64(users))
	m.sessions.Set(float64(sessions))
}

// Throttled counts an attempt that a rate limit refused.
func (m *Metrics) Throttled(limit string) { m.throttled.WithLabelValues(limit).Inc() }

// Hashed records how long hashing a password took.
func (m *Metrics) Hashed(took time.Duration) { m.hashing.Observe(took.Seconds()) }

// Executed records how long an SQL statement took.
func (m *Metrics) Executed(statement string, took time.Duration) {
	m.statements.WithLabelValues(statement).Observe(took.Seconds())
}

// handler serves the metrics in Prometheus' format. It logs metrics that cannot be read, and leaves
// them out.
func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError,
	})
}
