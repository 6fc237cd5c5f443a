package httpapi_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// requestCounts returns the number of requests in the metrics, by "operation status".
func requestCounts(t *testing.T, s *servertest.Server) map[string]int {
	t.Helper()
	counted := make(map[string]int)
	for line := range strings.Lines(s.Metrics(t)) {
		labels, found := strings.CutPrefix(line, `sesame_http_request_duration_seconds_count{operation="`)
		if !found {
			continue
		}
		operation, rest, _ := strings.Cut(labels, `",status="`)
		status, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		number, err := strconv.Atoi(count)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		counted[operation+" "+status] = number
	}
	return counted
}

func expectMetric(t *testing.T, s *servertest.Server, series string, want float64) {
	t.Helper()
	if got, found := s.Metric(t, series); !found || got != want {
		t.Errorf("%s is %v (%v), want %v", series, got, found, want)
	}
}

// The metrics count requests by operation and status. Requests to anything that is not an operation
// count as "other".
func TestRequestMetrics(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Throttle: true, CORSOrigins: listed})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		for range 3 {
			s.Authenticate(t, tokens.Access)
		}
		s.Authenticate(t, "x")
		tokens = s.Refresh(t, tokens.Refresh)
		s.Logout(t, tokens.Refresh)
		for range 12 {
			s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		}
		for _, path := range []string{"/nothing", "/auth/nothing", "/auth/login?token=canary", "/%22%7d%20canary"} {
			s.Do(t, http.MethodGet, path, "")
		}
		s.Do(t, http.MethodHead, "/.well-known/jwks.json", "")
		s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
		s.Do(t, http.MethodOptions, "/auth", "", "Origin", listed, "Access-Control-Request-Method", "POST")
		s.Do(t, "BREW", "/auth", "")
		want := map[string]int{
			"register 201":      1,
			"login 200":         1,
			"login 401":         10,
			"login 429":         2,
			"authenticate 200":  3,
			"authenticate 401":  1,
			"refreshTokens 200": 1,
			"logout 200":        1,
			"getJWKS 200":       2,
			"other 204":         1,
			"other 404":         3,
			"other 405":         2,
		}
		if got := requestCounts(t, s); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		expectMetric(t, s, `sesame_http_request_duration_seconds_bucket{operation="authenticate",status="200",le="+Inf"}`, 3)
		took, _ := s.Metric(t, `sesame_http_request_duration_seconds_sum{operation="login",status="200"}`)
		if took <= 0 || took > 60 {
			t.Errorf("a login took %v seconds", took)
		}
		metrics := s.Metrics(t)
		for _, series := range []string{
			"go_goroutines ", "sesame_build_info{", "process_cpu_seconds_total ", "go_sql_open_connections{db_name=",
		} {
			if !strings.Contains(metrics, "\n"+series) {
				t.Errorf("there is no %s", series)
			}
		}
		for _, private := range []string{"canary", email, "127.0.0.1"} {
			if strings.Contains(metrics, private) {
				t.Errorf("the metrics contain %s", private)
			}
		}
		for _, series := range []string{
			"sesame_http_requests_in_flight", "sesame_http_panics_total",
			"sesame_hashing_refused_total", "sesame_hashing_running", "sesame_hashing_waiting",
		} {
			expectMetric(t, s, series, 0)
		}
	})
}

var (
	metadataLine = regexp.MustCompile(`^# (HELP|TYPE) (\w+)(?: (\S.*))?$`)
	seriesLine   = regexp.MustCompile(`^(\w+?)(_bucket|_sum|_count)?(\{\w+="[^"]*"(, ?\w+="[^"]*")*\})? [-+.\w]+$`)
)

// families returns the types of the metrics on a page, by name. It checks the format: the lines of a
// metric are together, and begin with a description and its type.
func families(t *testing.T, page string) map[string]string {
	t.Helper()
	types := make(map[string]string)
	described, current := "", ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		metadata, series := metadataLine.FindStringSubmatch(line), seriesLine.FindStringSubmatch(line)
		switch {
		case metadata != nil && metadata[1] == "HELP":
			described = metadata[2]
			// Package metrics has no descriptions of the metrics of Go and of the process.
			if metadata[3] == "" && strings.HasPrefix(described, "sesame_") {
				t.Errorf("%s has no description", described)
			}
		case metadata != nil:
			current = metadata[2]
			if described != current || types[current] != "" {
				t.Errorf("%q: without a description, or twice", line)
			}
			types[current] = metadata[3]
			if strings.HasSuffix(current, "_total") && metadata[3] != "counter" {
				t.Errorf("%q is no counter", line)
			}
		case series == nil || series[1] != current && series[1]+series[2] != current:
			t.Errorf("%q in the lines of %s", line, current)
		}
	}
	return types
}

// The format is the one that Prometheus reads.
func TestMetricsFormat(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Login(t, s.NewUser(t))
		response, err := http.Get(s.AdminURL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if format := response.Header.Get("Content-Type"); format != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("Content-Type: %s", format)
		}
		types := families(t, string(page))
		for name, want := range map[string]string{
			"sesame_http_request_duration_seconds": "histogram", "sesame_hashing_duration_seconds": "histogram",
			"sesame_outcomes_total": "counter", "sesame_http_panics_total": "counter", "sesame_outbox_sent_total": "counter",
			"sesame_users": "gauge", "sesame_ready": "gauge", "sesame_build_info": "gauge",
			"go_sql_idle_connections": "gauge", "go_sql_wait_count_total": "counter",
		} {
			if types[name] != want {
				t.Errorf("%s is a %q, want %s", name, types[name], want)
			}
		}
	})
}

// docs/monitoring.md lists exactly the metrics that the server has.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, name := range regexp.MustCompile(`sesame_\w+`).FindAllString(string(page), -1) {
		documented[strings.TrimSuffix(name, "_count")] = true
	}
	delete(documented, "sesame_tls_certificate_expiry_timestamp_seconds") // only with TLS
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		email := s.NewUser(t) // a vector appears with its first value
		for range 11 {
			loginFrom(t, s, "192.0.2.1", email, wrong)
		}
		s.PasskeyLogin(t, servertest.UnknownAssertion(t))
		served := make(map[string]bool)
		for name := range families(t, s.Metrics(t)) {
			if strings.HasPrefix(name, "sesame_") {
				served[name] = true
			}
		}
		if !maps.Equal(served, documented) {
			t.Errorf("documented: %v\nserved: %v", slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(served)))
		}
	})
}

// Failures are counted by cause: panics, passwords that could not be hashed in time, and an
// unavailable database.
func TestFailureMetrics(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{WithoutKeys: true, NoHashing: true})
		for range 2 {
			s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
		}
		s.Register(t, "busy@example.com")
		s.CloseDatabase(t)
		s.ForgotPassword(t, "nobody@example.com")
		want := map[string]int{"getJWKS 500": 2, "register 503": 1, "forgotPassword 503": 1}
		if got := requestCounts(t, s); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		expectMetric(t, s, "sesame_http_panics_total", 2)
		expectMetric(t, s, "sesame_hashing_refused_total", 1)
		expectMetric(t, s, "sesame_http_requests_in_flight", 0)
		if _, found := s.Metric(t, "sesame_outbox_messages"); found {
			t.Error("the metrics of the outbox are there without a database")
		}
		if !strings.Contains(s.Log.String(), "sesame_outbox_messages") {
			t.Error("the log does not say why the metrics of the outbox are missing")
		}
	})
}

func TestOutboxMetrics(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, series := range []string{
			"sesame_outbox_messages", "sesame_outbox_due_messages", "sesame_outbox_oldest_seconds",
			"sesame_outbox_dead_messages", "sesame_outbox_sent_total", "sesame_outbox_failed_total",
			"sesame_outbox_given_up_total",
		} {
			expectMetric(t, s, series, 0)
		}
		insert := func(id string, due, created time.Duration) {
			t.Helper()
			now := time.Now().UTC()
			const statement = "INSERT INTO outbox (id, kind, email, attempts, due_at, last_error, created_at) " +
				"VALUES (?, 'x', 'ada@example.com', 3, ?, '', ?)"
			err := s.DB.WithContext(t.Context()).Exec(statement, id, now.Add(due), now.Add(created)).Error
			if err != nil {
				t.Fatal(err)
			}
		}
		insert("01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77", 10*time.Minute, -time.Hour)
		expectMetric(t, s, "sesame_outbox_messages", 1)
		expectMetric(t, s, "sesame_outbox_due_messages", 0)
		if age, _ := s.Metric(t, "sesame_outbox_oldest_seconds"); age < 3599 || age > 3660 {
			t.Errorf("the oldest message is %v seconds old, want 3600", age)
		}

		s.ForgotPassword(t, s.NewUser(t))
		s.NextEmail(t)
		insert("01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e78", 0, -48*time.Hour) // of an unknown kind: it cannot be sent
		deadline := time.Now().Add(20 * time.Second)
		for _, series := range []string{"sesame_outbox_sent_total", "sesame_outbox_given_up_total"} {
			for counted := 0.0; counted == 0; counted, _ = s.Metric(t, series) {
				if time.Now().After(deadline) {
					t.Fatalf("%s is 0", series)
				}
			}
			expectMetric(t, s, series, 1)
		}
		expectMetric(t, s, "sesame_outbox_failed_total", 1)
		expectMetric(t, s, "sesame_outbox_dead_messages", 1)
		expectMetric(t, s, "sesame_outbox_messages", 1)
	})
}

// The connections of the API's listener are counted and limited.
func TestConnectionMetrics(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		expectMetric(t, s, "sesame_http_connections", 0)
		s.Do(t, http.MethodGet, "/", "")
		expectMetric(t, s, "sesame_http_connections", 1) // the client keeps it alive
		if most, _ := s.Metric(t, "sesame_http_max_connections"); most < 16 || most > 4096 {
			t.Errorf("%v connections may be open", most)
		}
	})
}

func TestRequestsInFlight(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		body, rest := io.Pipe()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/auth/login", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", asJSON)
		done := make(chan servertest.Response)
		go func() { done <- s.Send(t, request) }()
		if _, err := rest.Write([]byte("{")); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for inFlight := 0.0; inFlight != 1; inFlight, _ = s.Metric(t, "sesame_http_requests_in_flight") {
			if time.Now().After(deadline) {
				t.Fatal("the request in flight is not counted")
			}
		}
		if err := rest.Close(); err != nil {
			t.Fatal(err)
		}
		if response := <-done; response.Status != http.StatusBadRequest {
			t.Errorf("%d %s", response.Status, response.Raw)
		}
		expectMetric(t, s, "sesame_http_requests_in_flight", 0)
	})
}

// The API's listener does not serve the admin endpoints.
func TestAdminEndpointsAreNotOnTheAPI(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, path := range []string{
			"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars",
		} {
			response := s.Do(t, http.MethodGet, path, "")
			if response.Status != http.StatusNotFound || response.Code() != "not_found" {
				t.Errorf("%s: %d %s", path, response.Status, response.Raw)
			}
		}
	})
}

// The metrics of parts of the server have the values that those have.
func TestMetricsOfParts(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		first := servertest.Start(t, engine, servertest.Options{})
		email := first.NewUser(t)
		first.Login(t, email)
		tokens := first.Login(t, email)
		expectStatus(t, first.Logout(t, tokens.Refresh), http.StatusOK)
		s := first.StartAnother(t, engine, servertest.Options{}) // counts at start
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if users, _ := s.Metric(t, "sesame_users"); users == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the users are not counted")
			}
		}
		expectMetric(t, s, "sesame_sessions", 1)
		s.Clock.Stop()
		before, _ := s.Metric(t, "sesame_signing_key_age_seconds")
		s.Clock.Advance(time.Hour)
		if after, _ := s.Metric(t, "sesame_signing_key_age_seconds"); before < 0 || after-before != 3600 {
			t.Errorf("the key is %v s old, and %v s an hour later", before, after)
		}
		s.Login(t, email)
		expectMetric(t, s, "sesame_hashing_duration_seconds_count", 1)
		selects, _ := s.Metric(t, `sesame_database_statement_duration_seconds_count{statement="SELECT"}`)
		stores := map[databasetest.Engine]string{databasetest.SQLite: "INSERT", databasetest.Postgres: "BATCH"}[engine]
		stored, _ := s.Metric(t, fmt.Sprintf("sesame_database_statement_duration_seconds_count{statement=%q}", stores))
		if selects == 0 || stored == 0 {
			t.Errorf("%v SELECT and %v %s statements", selects, stored, stores)
		}
		if wal, _ := s.Metric(t, "sesame_database_wal_bytes"); (wal > 0) != (engine == databasetest.SQLite) {
			t.Errorf("the write-ahead log has %v bytes", wal)
		}
	})
}
