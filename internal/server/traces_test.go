package server_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/tracing/otlptest"
)

var update = flag.Bool("update", false, "write the trace in docs/monitoring.md")

// traced has the default OTEL_ variables.
var traced = map[string]string{}

// The ids of another program's span, and a header with them. It is sampled.
const (
	otherTrace, otherSpan = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	traceparent           = "00-" + otherTrace + "-" + otherSpan + "-01"
)

// named returns the spans with a name.
func named(spans []otlptest.Span, name string) []otlptest.Span {
	return slices.DeleteFunc(slices.Clone(spans), func(s otlptest.Span) bool { return s.Name != name })
}

// traceOf waits for the span of a request and returns it with the spans of its trace.
func traceOf(t *testing.T, s *servertest.Server, response servertest.Response) (otlptest.Span, []otlptest.Span) {
	t.Helper()
	return s.Collector.Trace(t, "sesame.request.id", response.Header.Get("X-Request-Id"))
}

// logLine returns the line of the log about a request.
func logLine(t *testing.T, s *servertest.Server, response servertest.Response) map[string]any {
	t.Helper()
	for line := range strings.Lines(s.Log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if fields["msg"] == "request" && fields["id"] == response.Header.Get("X-Request-Id") {
			return fields
		}
	}
	t.Fatalf("no line about the request:\n%s", s.Log)
	return nil
}

// The trace of a login has the request, the wait for hashing, the hash, and every SQL statement.
func TestTraceOfALogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{SlowHashing: true, Traces: map[string]string{
			"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=a%20test",
		}})
		email := s.NewUser(t)
		response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		root, trace := traceOf(t, s, response)
		text := traceText(trace, root)
		for name, want := range map[string]string{
			"http.request.method": "POST", "http.route": "/auth/login", "url.scheme": "https",
			"http.response.status_code": "200", "sesame.operation": "login",
		} {
			if got := root.Attributes[name]; got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if root.Name != "POST /auth/login" || root.Kind != "SERVER" || root.Parent != "" || root.Failed {
			t.Errorf("%+v", root)
		}
		resource := root.Resource
		if resource["service.name"] != "sesame" || resource["deployment.environment.name"] != "a test" {
			t.Errorf("resource: %v", resource)
		}
		ids := map[string]bool{root.ID: true}
		for _, span := range trace {
			ids[span.ID] = true
		}
		var statements []string
		for _, span := range trace {
			if span.ID != root.ID && !ids[span.Parent] || span.Took < 0 || span.Took > root.Took {
				t.Errorf("%+v is not a part of the request", span)
			}
			if span.Kind == "CLIENT" {
				statements = append(statements, span.Attributes["db.operation.name"])
				system := map[databasetest.Engine]string{databasetest.SQLite: "sqlite", databasetest.Postgres: "postgresql"}
				if span.Attributes["db.system.name"] != system[engine] || span.Attributes["db.query.text"] == "" {
					t.Errorf("%+v", span)
				}
			}
		}
		want := map[databasetest.Engine][]string{
			databasetest.SQLite:   {"SELECT", "SELECT", "INSERT", "UPDATE", "INSERT", "UPDATE", "INSERT"},
			databasetest.Postgres: {"SELECT", "SELECT", "BATCH"},
		}
		if !slices.Equal(statements, want[engine]) {
			t.Errorf("statements: %q\n%s", statements, text)
		}
		for _, name := range []string{"wait for hashing", "hash password"} {
			if len(named(trace, name)) != 1 {
				t.Errorf("no %q in\n%s", name, text)
			}
		}
		line := logLine(t, s, response)
		if line["trace_id"] != root.Trace || line["span_id"] != root.ID {
			t.Errorf("the log has trace %v and span %v, want %s and %s", line["trace_id"], line["span_id"], root.Trace, root.ID)
		}
		if engine == databasetest.SQLite {
			checkDocumentedTrace(t, text)
		}
	})
}

// traceText returns a trace as text, a line for each span, below its parent.
func traceText(trace []otlptest.Span, root otlptest.Span) string {
	var text strings.Builder
	var write func(span otlptest.Span, depth int)
	write = func(span otlptest.Span, depth int) {
		line := strings.Repeat("  ", depth) + cmp.Or(span.Attributes["db.query.text"], span.Name)
		if cut := []rune(line); len(cut) > 80 {
			line = string(cut[:79]) + "…"
		}
		fmt.Fprintf(&text, "%6.2f ms  %s\n", float64(span.Took.Microseconds())/1000, line)
		children := slices.DeleteFunc(slices.Clone(trace), func(s otlptest.Span) bool { return s.Parent != span.ID })
		slices.SortStableFunc(children, func(a, b otlptest.Span) int { return a.Started.Compare(b.Started) })
		for _, child := range children {
			write(child, depth+1)
		}
	}
	write(root, 0)
	return text.String()
}

// checkDocumentedTrace compares a trace with the one in docs/monitoring.md, except for the durations.
func checkDocumentedTrace(t *testing.T, trace string) {
	t.Helper()
	const path, mark = "../../docs/monitoring.md", "<!-- trace of a login: a test writes this block -->\n```\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), mark)
	documented, after, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("%s has no trace", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+mark+trace+"```\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	duration := regexp.MustCompile(`(?m)^ *\d+\.\d\d ms`)
	if duration.ReplaceAllString(documented, "") != duration.ReplaceAllString(trace, "") {
		t.Errorf("%s is out of date: run go test ./internal/server -run TestTraceOfALogin -update\n%s", path, trace)
	}
}

// The trace of a trusted proxy continues. Anybody else's is only linked to, and a tracestate of theirs is
// not exported.
func TestTracesContinue(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		proxied := servertest.Start(t, engine, servertest.Options{Traces: traced, BehindProxy: true})
		headers := []string{"traceparent", traceparent, "tracestate", "vendor=canary", "X-Forwarded-For", "192.0.2.1"}
		response := proxied.Do(t, http.MethodGet, "/.well-known/jwks.json", "", headers...)
		root, _ := traceOf(t, proxied, response)
		if root.Trace != otherTrace || root.Parent != otherSpan || len(root.Links) > 0 {
			t.Errorf("from a trusted proxy: %+v", root)
		}
		if line := logLine(t, proxied, response); line["trace_id"] != otherTrace {
			t.Errorf("the log has trace %v", line["trace_id"])
		}
		zero := strings.Replace(traceparent, otherTrace, strings.Repeat("0", len(otherTrace)), 1)
		for _, invalid := range []string{"", "x", "00-" + otherTrace, zero} {
			root, _ := traceOf(t, proxied, proxied.Do(t, http.MethodGet, "/.well-known/jwks.json", "", "traceparent", invalid))
			if root.Trace == otherTrace || root.Parent != "" {
				t.Errorf("traceparent %q: %+v", invalid, root)
			}
		}

		public := servertest.Start(t, engine, servertest.Options{Traces: traced})
		root, _ = traceOf(t, public, public.Do(t, http.MethodGet, "/.well-known/jwks.json", "", headers...))
		want := []otlptest.Link{{Trace: otherTrace, ID: otherSpan}}
		if root.Trace == otherTrace || root.Parent != "" || !slices.Equal(root.Links, want) {
			t.Errorf("from anybody: %+v", root)
		}
		if strings.Contains(public.Collector.String(), "canary") {
			t.Error("the traces contain the tracestate of a client")
		}
	})
}

// A client cannot decide that its requests are recorded. A trusted proxy can.
func TestTracesAreSampled(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		never := map[string]string{"OTEL_TRACES_SAMPLER": "parentbased_always_off"}
		public := servertest.Start(t, engine, servertest.Options{Traces: never})
		proxied := servertest.Start(t, engine, servertest.Options{Traces: never, BehindProxy: true})
		for _, s := range []*servertest.Server{public, proxied} {
			s.Login(t, s.NewUser(t))
			s.Do(t, http.MethodGet, "/.well-known/jwks.json", "", "traceparent", traceparent)
			if err := s.Traces.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if spans := public.Collector.Spans(); len(spans) > 0 {
			t.Errorf("a client is recorded: %+v", spans)
		}
		if spans := proxied.Collector.Spans(); len(spans) != 1 || spans[0].Trace != otherTrace {
			t.Errorf("of a trusted proxy: %+v", spans)
		}
	})
}

// An error has its problem code, and a 5xx response is a failed span. The instance of the problem
// leads to the trace.
func TestTracesOfErrors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Traces: traced, NoHashing: true})
		for _, test := range []struct {
			response servertest.Response
			status   string
			code     string
			failed   bool
		}{
			{s.Authenticate(t, "x"), "401", "invalid_access_token", false},
			{s.Post(t, "/auth/login", "email", "ada@example.com"), "400", "validation_failed", false},
			{s.Post(t, "/auth/login", "email", "ada@example.com", "password", servertest.Password), "503", "unavailable", true},
		} {
			id := strings.TrimPrefix(test.response.Text("instance"), "urn:uuid:")
			root, trace := s.Collector.Trace(t, "sesame.request.id", id)
			if root.Attributes["sesame.problem.code"] != test.code || root.Failed != test.failed ||
				root.Attributes["http.response.status_code"] != test.status {
				t.Errorf("%s: %+v", test.code, root)
			}
			if waits := named(trace, "wait for hashing"); test.failed && (len(waits) != 1 || !waits[0].Failed) {
				t.Errorf("%+v", trace)
			}
		}
		s.CloseDatabase(t)
		root, trace := traceOf(t, s, s.ForgotPassword(t, "ada@example.com"))
		if root.Attributes["error.type"] != "503" || !slices.ContainsFunc(trace, func(span otlptest.Span) bool {
			return span.Kind == "CLIENT" && span.Failed && span.Attributes["error.type"] == "unavailable"
		}) {
			t.Errorf("without a database: %+v", trace)
		}
	})
}

// An email has a trace of its own, with the statements and the time that the mail server takes.
func TestTracesOfEmails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Traces: traced})
		email := s.NewUser(t)
		s.ForgotPassword(t, email)
		s.NextEmail(t)
		root, trace := s.Collector.Trace(t, "sesame.email.kind", "reset-password")
		sent := named(trace, "send message")
		if root.Name != "send email" || root.Parent != "" || root.Failed || root.Attributes["sesame.email.attempt"] != "1" {
			t.Errorf("%+v", root)
		}
		isStatement := func(s otlptest.Span) bool { return s.Kind == "CLIENT" }
		if len(sent) != 1 || sent[0].Failed || !slices.ContainsFunc(trace, isStatement) {
			t.Errorf("%+v", trace)
		}
	})
}

// Pages, unknown paths, the admin listener and work in the background have no spans.
func TestNotTraced(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Traces: traced, CORSOrigins: "https://app.example.com"})
		for _, path := range []string{"/", "/docs", "/openapi.json", "/reset-password", "/nothing", "/metrics"} {
			s.Do(t, http.MethodGet, path, "")
		}
		s.Do(t, http.MethodOptions, "/auth", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			servertest.Do(t, http.DefaultClient, http.MethodGet, s.AdminURL+path, "")
		}
		if err := s.DB.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Do(t, http.MethodHead, "/.well-known/jwks.json", "")
		if err := s.Traces.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		spans := s.Collector.Spans()
		if len(spans) != 1 || spans[0].Name != "HEAD /.well-known/jwks.json" {
			t.Errorf("%+v", spans)
		}
	})
}

// No span contains an email, an IP address, a header of the client or an id in the path. That none
// contains a password or a token is checked at the end of every test with traces.
func TestTracesArePrivate(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{
			Traces: traced, BehindProxy: true, Throttle: true, EmailVerification: auth.VerificationOptional,
		})
		private := []string{"192.0.2.77", "127.0.0.1", "Canary/1.0"}
		client := &http.Client{Transport: withHeaders{s.Client.Transport, "192.0.2.77", "Canary/1.0"}}
		s.Client = client
		email := s.NewUser(t)
		s.NextEmail(t)
		s.Register(t, email) // taken
		tokens := s.Login(t, email)
		s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		s.Post(t, "/auth/login", "email", "nobody@example.com", "password", "a wrong password")
		s.Authenticate(t, tokens.Access)
		s.As(t, tokens.Access, http.MethodPost, "/auth/change-email",
			"email", "new@example.com", "password", servertest.Password)
		s.NextEmail(t) // the link, and the notice to the old email
		s.NextEmail(t)
		session := "018f0000-0000-7000-8000-00000000cafe"
		s.As(t, tokens.Access, http.MethodDelete, "/auth/sessions/"+session)
		tokens = s.Refresh(t, tokens.Refresh)
		s.ForgotPassword(t, email)
		s.ResetPassword(t, s.ResetToken(t, s.NextEmail(t)), "an even better horse")
		s.TryRefresh(t, tokens.Refresh)
		traceOf(t, s, s.ForgotPassword(t, "nobody@example.com"))
		s.Collector.Trace(t, "sesame.email.kind", "reset-password")
		if err := s.Traces.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := s.Collector.String()
		if len(s.Collector.Spans()) < 50 {
			t.Errorf("only %d spans", len(s.Collector.Spans()))
		}
		for _, secret := range append(private, email, "nobody@example.com", "new@example.com", session) {
			if strings.Contains(all, secret) {
				t.Errorf("the traces contain %s", secret)
			}
		}
		if len(named(s.Collector.Spans(), "DELETE /auth/sessions/{sessionId}")) != 1 {
			t.Error("the name of a span is not the route")
		}
	})
}

// withHeaders adds the headers of a proxy and of a browser to requests.
type withHeaders struct {
	http.RoundTripper

	ip, userAgent string
}

func (h withHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Forwarded-For", h.ip)
	r.Header.Set("User-Agent", h.userAgent)
	return h.RoundTripper.RoundTrip(r)
}

// Without the OTEL_ variables there are no traces, whatever a client sends.
func TestTracesAreOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{BehindProxy: true})
		response := s.Do(t, http.MethodGet, "/.well-known/jwks.json", "", "traceparent", traceparent)
		if line := logLine(t, s, response); line["trace_id"] != nil || s.API.Tracer != nil {
			t.Errorf("%v", line)
		}
	})
}
