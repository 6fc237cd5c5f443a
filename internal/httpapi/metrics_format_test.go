package httpapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// page returns the page of metrics.
func (m *Metrics) page(t *testing.T) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	m.handler(slog.New(slog.DiscardHandler)).ServeHTTP(recorder, request)
	return recorder.Body.String()
}

// The values of labels are escaped.
func TestLabelsAreEscaped(t *testing.T) {
	m := NewMetrics()
	m.Outcome(`a"b\`, "c\nd}")
	const want = "\n" + `sesame_outcomes_total{operation="a\"b\\",outcome="c\nd}"} 1` + "\n"
	if page := m.page(t); !strings.Contains(page, want) {
		t.Errorf("%s", page)
	}
}

// The metrics of a server do not count what another server in the same process does.
func TestMetricsOfTwoServers(t *testing.T) {
	first, second := NewMetrics(), NewMetrics()
	first.Throttled("limit")
	first.Stored(1, 2)
	if page := second.page(t); strings.Contains(page, "limit") || !strings.Contains(page, "\nsesame_users 0\n") {
		t.Errorf("%s", page)
	}
}

// Requests that are the first ones with their labels at the same time are all counted.
func TestMetricsOfParallelRequests(t *testing.T) {
	m := NewMetrics()
	var requests sync.WaitGroup
	for range 50 {
		requests.Go(func() {
			m.observe("login", http.StatusOK, 0)
			m.Factor("totp", "success")
		})
	}
	requests.Wait()
	page := m.page(t)
	for _, want := range []string{
		`sesame_http_request_duration_seconds_bucket{operation="login",status="200",le="0.001"} 50`,
		`sesame_http_request_duration_seconds_count{operation="login",status="200"} 50`,
		`sesame_factors_total{factor="totp",outcome="success"} 50`,
	} {
		if !strings.Contains(page, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m := NewMetrics()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.observe("authenticate", http.StatusOK, 0)
		}
	})
}
