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
	// otherOperation is the label of requests to no operation: pages, unknown paths, wrong methods.
	otherOperation = "other"
	// backlogTimeout bounds the one query of a scrape.
	backlogTimeout = time.Second
)

// Metrics are the server's Prometheus metrics. Clients cannot choose the values of labels, so the
// number of time series is bounded, and no label contains an email, an IP address, a path or a
// token.
type Metrics struct {
	registry *prometheus.Registry
	duration *prometheus.HistogramVec // also counts the requests
	inFlight prometheus.Gauge
	panics   prometheus.Counter
	refused  prometheus.Counter // because hashing was busy
}

// NewMetrics returns the metrics of one server. It counts requests itself, and reads the
// connections, the hasher, the outbox and the database pools, by name, at each scrape.
func NewMetrics(
	connections *Connections, hasher *password.Hasher, outbox *mail.Outbox, pools map[string]*sql.DB,
) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sesame_http_request_duration_seconds",
			Help:    "Duration of requests in seconds, by operationId and status.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
		}, []string{"operation", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sesame_http_requests_in_flight",
			Help: "Requests in flight.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sesame_http_panics_total",
			Help: "Requests that panicked and returned 500.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sesame_hashing_refused_total",
			Help: "Requests that returned 503 because the password could not be hashed in time.",
		}),
	}
	first := func(value, _ int) int { return value }
	second := func(_, value int) int { return value }
	gauge := func(name, help string, load func() (int, int), pick func(int, int) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(pick(load()))
		})
	}
	m.registry.MustRegister(m.duration, m.inFlight, m.panics, m.refused,
		gauge("sesame_http_connections", "Open connections.", connections.Load, first),
		gauge("sesame_http_max_connections", "How many connections may be open.", connections.Load, second),
		gauge("sesame_hashing_running", "Passwords being hashed.", hasher.Load, first),
		gauge("sesame_hashing_waiting", "Passwords waiting to be hashed.", hasher.Load, second),
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

// observe records a request.
func (m *Metrics) observe(operation string, status int, took time.Duration) {
	m.duration.WithLabelValues(operation, strconv.Itoa(status)).Observe(took.Seconds())
}

// handler serves the metrics in Prometheus' format. It logs metrics that cannot be read, and leaves
// them out.
func (m *Metrics) handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling: promhttp.ContinueOnError,
	})
}

// backlog reads the outbox at each scrape.
type backlog struct{ outbox *mail.Outbox }

var (
	unsentMessages = prometheus.NewDesc("sesame_outbox_messages",
		"Emails not sent yet, including those that failed and will be retried.", nil, nil)
	dueMessages = prometheus.NewDesc("sesame_outbox_due_messages",
		"Emails that are due to be sent now.", nil, nil)
	oldestMessage = prometheus.NewDesc("sesame_outbox_oldest_seconds",
		"Age of the oldest email that is not sent yet.", nil, nil)
)

func (backlog) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- unsentMessages
	descriptions <- dueMessages
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
		oldestMessage:  unsent.Oldest.Seconds(),
	} {
		metrics <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value)
	}
}
