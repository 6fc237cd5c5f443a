package httpapi

import (
	"bytes"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// otherOperation is the label of requests to no operation: pages, unknown paths, wrong methods.
const otherOperation = "other"

// Metrics are the server's Prometheus metrics. Clients cannot choose the values of labels, so the
// number of time series is bounded, and no label contains an email, an IP address, a path or a
// token.
//
// Prometheus' own client_golang would need protobuf's runtime, and make the program two megabytes
// larger.
type Metrics struct {
	set     *metrics.Set
	watched *Watched // nil before Watch

	duration *vector[*metrics.PrometheusHistogram] // also counts the requests
	inFlight *metrics.Gauge
	panics   *metrics.Counter

	outcomes  *vector[*metrics.Counter]
	factors   *vector[*metrics.Counter]
	throttled *vector[*metrics.Counter]
	users     *metrics.Gauge
	sessions  *metrics.Gauge

	hashing    *metrics.PrometheusHistogram
	refused    *metrics.Counter // because hashing was busy
	statements *vector[*metrics.PrometheusHistogram]
}

// NewMetrics returns the metrics of one server, which others count. See also Watch.
func NewMetrics() *Metrics {
	metrics.ExposeMetadata(true) // lines with HELP and TYPE, of all servers of the process
	set := metrics.NewSet()
	m := &Metrics{
		set: set,

		duration: newHistograms(set, "sesame_http_request_duration_seconds",
			[]float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}, "operation", "status"),
		inFlight: set.NewGauge("sesame_http_requests_in_flight", nil),
		panics:   set.NewCounter("sesame_http_panics_total"),

		outcomes:  newVector(set.GetOrCreateCounter, "sesame_outcomes_total", "operation", "outcome"),
		factors:   newVector(set.GetOrCreateCounter, "sesame_factors_total", "factor", "outcome"),
		throttled: newVector(set.GetOrCreateCounter, "sesame_throttled_total", "limit"),
		users:     set.NewGauge("sesame_users", nil),
		sessions:  set.NewGauge("sesame_sessions", nil),

		hashing: set.NewPrometheusHistogramExt("sesame_hashing_duration_seconds",
			[]float64{.01, .02, .03, .05, .1, .2, .5, 1, 2, 5, 10}),
		refused: set.NewCounter("sesame_hashing_refused_total"),
		statements: newHistograms(set, "sesame_database_statement_duration_seconds",
			[]float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2.5}, "statement"),
	}
	for _, outcome := range []string{"reused", "replayed-elsewhere"} {
		m.outcomes.with("refresh", outcome) // 0, so that an alert notices the first one
	}
	return m
}

// observe records a request.
func (m *Metrics) observe(operation string, status int, took time.Duration) {
	m.duration.with(operation, strconv.Itoa(status)).Update(took.Seconds())
}

// Outcome counts a call of an operation. Metrics implements auth.Observer.
func (m *Metrics) Outcome(operation, outcome string) { m.outcomes.with(operation, outcome).Inc() }

// Factor counts a use of a second factor or a passkey.
func (m *Metrics) Factor(factor, outcome string) { m.factors.with(factor, outcome).Inc() }

// Stored records the number of users and of valid sessions.
func (m *Metrics) Stored(users, sessions int64) {
	m.users.Set(float64(users))
	m.sessions.Set(float64(sessions))
}

// Throttled counts an attempt that a rate limit refused.
func (m *Metrics) Throttled(limit string) { m.throttled.with(limit).Inc() }

// Hashed records how long hashing a password took.
func (m *Metrics) Hashed(took time.Duration) { m.hashing.Update(took.Seconds()) }

// Executed records how long an SQL statement took.
func (m *Metrics) Executed(statement string, took time.Duration) {
	m.statements.with(statement).Update(took.Seconds())
}

// handler serves the metrics in Prometheus' format. It logs metrics that cannot be read, and leaves
// them out.
func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var page bytes.Buffer
		m.set.WritePrometheus(&page)
		if m.watched != nil {
			m.watched.write(r.Context(), &page, log)
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = addHelp.WriteString(w, page.String()) // best effort
	})
}
