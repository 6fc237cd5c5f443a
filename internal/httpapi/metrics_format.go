package httpapi

import (
	"strings"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// metricHelp describes the metrics. Those of package metrics have no description.
var metricHelp = map[string]string{
	"go_gc_gogc_percent":                 "Heap growth that starts a garbage collection (GOGC), in percent.",
	"go_sql_idle_connections":            "Idle connections.",
	"go_sql_in_use_connections":          "Connections in use.",
	"go_sql_max_open_connections":        "How many connections may be open.",
	"go_sql_open_connections":            "Open connections, in use or idle.",
	"go_sql_wait_count_total":            "How often a connection was waited for.",
	"go_sql_wait_duration_seconds_total": "Time spent waiting for connections, in seconds.",

	"sesame_database_wal_bytes":            "Size of the write-ahead log of SQLite; 0 with PostgreSQL.",
	"sesame_factors_total":                 "Uses of authenticator apps, recovery codes and passkeys, by outcome.",
	"sesame_hashing_duration_seconds":      "Duration of hashing a password in seconds, without waiting.",
	"sesame_hashing_refused_total":         "Requests that returned 503 because the password could not be hashed in time.",
	"sesame_hashing_running":               "Passwords being hashed.",
	"sesame_hashing_waiting":               "Passwords waiting to be hashed.",
	"sesame_http_connections":              "Open connections.",
	"sesame_http_max_connections":          "How many connections may be open.",
	"sesame_http_panics_total":             "Requests that panicked and returned 500.",
	"sesame_http_request_duration_seconds": "Duration of requests in seconds, by operationId and status.",
	"sesame_http_requests_in_flight":       "Requests in flight.",
	"sesame_outbox_dead_messages":          "Emails that were given up, and are kept for a week.",
	"sesame_outbox_due_messages":           "Emails that are due to be sent now.",
	"sesame_outbox_failed_total":           "Attempts of this server to send an email that failed.",
	"sesame_outbox_given_up_total":         "Emails that this server gave up.",
	"sesame_outbox_messages":               "Emails not sent yet, including those that failed and will be retried.",
	"sesame_outbox_oldest_seconds":         "Age of the oldest email that is not sent yet.",
	"sesame_outbox_sent_total":             "Emails that the mail server accepted from this server.",
	"sesame_outcomes_total":                "Calls of login, register, refresh, reset-password and others, by outcome.",
	"sesame_ready":                         "1 if /readyz returns 200, and 0 otherwise.",
	"sesame_sessions":                      "Valid sessions, at start and every hour.",
	"sesame_signing_key_age_seconds":       "How long the active key has been signing.",
	"sesame_throttled_total":               "Attempts that a rate limit refused, by limit.",
	"sesame_users":                         "Accounts, at start and every hour.",

	"sesame_build_info": "Always 1. The labels are the versions of the program and of Go, and the commit and its date.",
	"sesame_database_statement_duration_seconds": "Duration of SQL statements in seconds, by their first word, or of a " +
		"BATCH; without BEGIN and COMMIT.",
	"sesame_tls_certificate_expiry_timestamp_seconds": "When the TLS certificate expires, in seconds since 1970.",
}

// addHelp adds the descriptions to a page of metrics, and corrects the type of counters of the
// process, which package metrics calls gauges.
var addHelp = func() *strings.Replacer {
	pairs := []string{"_total gauge\n", "_total counter\n"}
	for name, text := range metricHelp {
		pairs = append(pairs, "# HELP "+name+"\n", "# HELP "+name+" "+text+"\n")
	}
	return strings.NewReplacer(pairs...)
}()

// escapeLabel escapes the value of a label.
var escapeLabel = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace

// seriesName returns the name of a series: that of its metric with the values of the labels.
func seriesName(metric string, labels []string, values ...string) string {
	pairs := make([]string, len(labels))
	for i, label := range labels {
		pairs[i] = label + `="` + escapeLabel(values[i]) + `"`
	}
	return metric + "{" + strings.Join(pairs, ",") + "}"
}

// vector is a metric with labels. It has a series for each combination of values that was used.
type vector[M any] struct {
	metric   string
	labels   []string // at most two
	register func(series string) M

	mu     sync.RWMutex
	series map[[2]string]M // by the values of the labels
}

// newVector returns a vector. register returns a series, and adds it if there is none.
func newVector[M any](register func(series string) M, metric string, labels ...string) *vector[M] {
	return &vector[M]{metric: metric, labels: labels, register: register, series: make(map[[2]string]M)}
}

// newHistograms returns a vector of histograms with these upper bounds.
func newHistograms(
	set *metrics.Set, metric string, bounds []float64, labels ...string,
) *vector[*metrics.PrometheusHistogram] {
	return newVector(func(series string) *metrics.PrometheusHistogram {
		return set.GetOrCreatePrometheusHistogramExt(series, bounds)
	}, metric, labels...)
}

// with returns the series with these values of the labels.
func (v *vector[M]) with(values ...string) M {
	var key [2]string
	copy(key[:], values)
	v.mu.RLock()
	s, ok := v.series[key]
	v.mu.RUnlock()
	if !ok {
		s = v.register(seriesName(v.metric, v.labels, values...))
		v.mu.Lock()
		v.series[key] = s
		v.mu.Unlock()
	}
	return s
}
