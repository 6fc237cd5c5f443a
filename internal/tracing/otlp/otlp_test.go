package otlp_test

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/tracing"
	"github.com/sesame-auth/sesame/internal/tracing/otlp"
	"github.com/sesame-auth/sesame/internal/tracing/otlptest"
)

func parse(variables map[string]string) (otlp.Config, []error) {
	return otlp.ParseConfig(func(name string) string { return variables[name] })
}

const endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"

// The variables decide whether and where spans are exported.
func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		variables map[string]string
		want      string // the endpoint; empty: off
	}{
		{nil, ""},
		{map[string]string{endpoint: " "}, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, "http://localhost:4318/v1/traces"},
		{map[string]string{endpoint: "http://c.example:4318"}, "http://c.example:4318/v1/traces"},
		{map[string]string{endpoint: "https://c.example/otlp/?key=1"}, "https://c.example/otlp/v1/traces?key=1"},
		{map[string]string{endpoint: "http://c.example", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t.example/x"},
			"http://t.example/x"},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t.example"}, "http://t.example"},
		{map[string]string{endpoint: "http://c.example", "OTEL_TRACES_EXPORTER": "none"}, ""},
		{map[string]string{endpoint: "http://c.example", "OTEL_SDK_DISABLED": "True"}, ""},
		{map[string]string{endpoint: "http://c.example", "OTEL_SDK_DISABLED": "false"}, "http://c.example/v1/traces"},
		// Without traces, the rest does not matter.
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_SAMPLER": "x"}, ""},
	} {
		config, errs := parse(test.variables)
		if len(errs) > 0 || config.Endpoint != test.want || config.IsOff() != (test.want == "") {
			t.Errorf("%v: %q, %v", test.variables, config.Endpoint, errs)
		}
	}
	config, errs := parse(map[string]string{"OTEL_TRACES_EXPORTER": "console"})
	if len(errs) > 0 || !config.ToConsole || config.IsOff() {
		t.Errorf("console: %+v, %v", config, errs)
	}
}

// All errors are reported at once, by the names of the variables and without secrets.
func TestInvalidVariables(t *testing.T) {
	invalid := map[string]string{
		endpoint:                             "http://user:canary@c.example",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
		"OTEL_EXPORTER_OTLP_HEADERS":         "authorization: canary",
		"OTEL_EXPORTER_OTLP_TIMEOUT":         "10s",
		"OTEL_EXPORTER_OTLP_CERTIFICATE":     "otlp_test.go",
		"OTEL_EXPORTER_OTLP_CLIENT_KEY":      "/nowhere.pem",
		"OTEL_EXPORTER_OTLP_COMPRESSION":     "zstd",
		"OTEL_TRACES_SAMPLER":                "traceidratio",
		"OTEL_TRACES_SAMPLER_ARG":            "1.5",
		"OTEL_BSP_SCHEDULE_DELAY":            "-1",
		"OTEL_BSP_EXPORT_TIMEOUT":            "soon",
		"OTEL_BSP_MAX_QUEUE_SIZE":            "0",
		"OTEL_BSP_MAX_EXPORT_BATCH_SIZE":     "99999999999",
		"OTEL_RESOURCE_ATTRIBUTES":           "canary",
	}
	_, errs := parse(invalid)
	var names []string
	for _, err := range errs {
		name, text, _ := strings.Cut(err.Error(), ": ")
		names = append(names, name)
		if strings.Contains(text, "canary") {
			t.Error(err)
		}
	}
	delete(invalid, "OTEL_TRACES_SAMPLER") // only its argument is invalid
	want := slices.Sorted(maps.Keys(invalid))
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("errors about %q, want %q", names, want)
	}
	for name, values := range map[string][]string{
		endpoint:                     {"c.example:4318", "grpc://c.example", "http://", "http://c.example:port", "%"},
		"OTEL_TRACES_EXPORTER":       {"zipkin", "otlp,console"},
		"OTEL_TRACES_SAMPLER":        {"sometimes", "jaeger_remote"},
		"OTEL_EXPORTER_OTLP_HEADERS": {"a", "a b=c", "a=%0A", "a=%", "a=b,"},
		"OTEL_RESOURCE_ATTRIBUTES":   {"=x", "a=%"},
	} {
		for _, value := range values {
			variables := map[string]string{endpoint: "http://c.example", name: value}
			if _, errs := parse(variables); len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), name+": ") {
				t.Errorf("%s=%s: %v", name, value, errs)
			}
		}
	}
	for _, ratio := range []string{"NaN", "-0.1", "x"} {
		variables := map[string]string{
			endpoint: "http://c.example", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio,
		}
		if _, errs := parse(variables); len(errs) != 1 {
			t.Errorf("ratio %s: %v", ratio, errs)
		}
	}
}

// log is a log that a test reads while it is written.
type log struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.Write(line)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.content.String()
}

// export starts an exporter.
func export(t *testing.T, config otlp.Config) (*otlp.Traces, *log) {
	t.Helper()
	var log log
	traces, err := otlp.New(t.Context(), config, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traces.Close)
	return traces, &log
}

// span records a span with another one below it.
func span(t *testing.T, traces *otlp.Traces, name string) {
	t.Helper()
	ctx, span := traces.Tracer().Start(t.Context(), name)
	tracing.Record(ctx, "below", time.Now(), "broken", trace.WithAttributes(attribute.Int("n", 7)))
	span.End()
}

// Spans arrive with their attributes and the resource, whatever the transport.
func TestExport(t *testing.T) {
	for _, variables := range []map[string]string{
		{},
		{"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, api-key=a b=="},
		{"OTEL_SERVICE_NAME": "other", "OTEL_RESOURCE_ATTRIBUTES": "service.name=no,team=id%2Centity"},
	} {
		receiver := otlptest.Start(t)
		traces, log := export(t, receiver.Config(t, variables))
		span(t, traces, "request")
		traces.Close()
		spans := receiver.Spans()
		if len(spans) != 2 {
			t.Fatalf("%v: %+v\n%s", variables, spans, log)
		}
		below, request := spans[0], spans[1]
		if below.Name != "below" || below.Parent != request.ID || below.Trace != request.Trace || !below.Failed ||
			below.Attributes["n"] != "7" || below.Attributes["error.type"] != "broken" || request.Failed {
			t.Errorf("%+v", spans)
		}
		service, header := "sesame", receiver.Requests()[0].Header
		if variables["OTEL_SERVICE_NAME"] != "" {
			service = "other"
			if request.Resource["team"] != "id,entity" {
				t.Errorf("resource: %v", request.Resource)
			}
		}
		if request.Resource["service.name"] != service || request.Resource["telemetry.sdk.language"] != "go" {
			t.Errorf("resource: %v", request.Resource)
		}
		if header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("header: %v", header)
		}
		sent := []string{header.Get("Authorization"), header.Get("Api-Key"), header.Get("Content-Encoding")}
		want := []string{"", "", ""}
		if variables["OTEL_EXPORTER_OTLP_HEADERS"] != "" {
			want = []string{"Bearer x", "a b==", "gzip"}
		}
		if !slices.Equal(sent, want) {
			t.Errorf("sent %q, want %q", sent, want)
		}
	}
}

// The certificate authority is the configured one, and no other.
func TestCertificate(t *testing.T) {
	arrived := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived++ }))
	defer server.Close()
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		file string
		want int
	}{{"", 0}, {file, 1}} {
		config, errs := parse(map[string]string{
			endpoint: server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE": test.file, "OTEL_BSP_EXPORT_TIMEOUT": "2000",
		})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		traces, log := export(t, config)
		span(t, traces, "request")
		traces.Close()
		if arrived != test.want || strings.Contains(log.String(), "certificate") == (test.want > 0) {
			t.Errorf("%+v: %d requests\n%s", test, arrived, log)
		}
	}
}

// A receiver that cannot accept spans now gets them later. Others refuse them for good.
func TestRetries(t *testing.T) {
	for _, test := range []struct {
		status   int
		requests int
		arrives  bool
	}{
		{http.StatusServiceUnavailable, 2, true},
		{http.StatusTooManyRequests, 2, true},
		{http.StatusBadRequest, 1, false},
		{http.StatusUnauthorized, 1, false},
		{http.StatusTemporaryRedirect, 1, false}, // the headers are secret
	} {
		t.Run(http.StatusText(test.status), func(t *testing.T) {
			t.Parallel()
			receiver := otlptest.Start(t)
			first := true
			receiver.Respond(func(w http.ResponseWriter) bool {
				if !first {
					return false
				}
				first = false
				w.Header().Set("Location", receiver.URL+"/v1/traces")
				w.WriteHeader(test.status)
				return true
			})
			traces, log := export(t, receiver.Config(t, nil))
			span(t, traces, "request")
			if err := traces.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if requests := len(receiver.Requests()); requests != test.requests || (len(receiver.Spans()) == 2) != test.arrives {
				t.Errorf("%d requests, %d spans", requests, len(receiver.Spans()))
			}
			if logged := strings.Count(log.String(), "traces could not be exported"); (logged == 0) != test.arrives {
				t.Errorf("%s", log)
			}
		})
	}
}

// If the receiver accepts only some spans, the log says why.
func TestPartialSuccess(t *testing.T) {
	receiver := otlptest.Start(t)
	receiver.Respond(func(w http.ResponseWriter) bool {
		// partial_success { rejected_spans: 300, error_message: "quota" }, after an unknown field
		_, err := w.Write([]byte("\x18\x01" + "\x0a\x0a" + "\x08\xac\x02" + "\x12\x05quota"))
		return err == nil
	})
	traces, log := export(t, receiver.Config(t, nil))
	span(t, traces, "request")
	traces.Close()
	if !strings.Contains(log.String(), `rejected 300 spans: \"quota\"`) {
		t.Errorf("%s", log)
	}
}

// A receiver that cannot be reached is logged once a minute, and delays nobody.
func TestUnreachableReceiver(t *testing.T) {
	config, errs := parse(map[string]string{
		endpoint: "http://" + porttest.Address(t), "OTEL_BSP_SCHEDULE_DELAY": "1", "OTEL_BSP_EXPORT_TIMEOUT": "20",
		"OTEL_BSP_MAX_QUEUE_SIZE": "8",
	})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	traces, log := export(t, config)
	started := time.Now()
	for range 20_000 {
		span(t, traces, "request")
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("20,000 spans took %s", took)
	}
	for range 3 { // each waits until its batch is lost
		span(t, traces, "request")
		if err := traces.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if logged := strings.Count(log.String(), "traces could not be exported"); logged != 1 {
		t.Errorf("logged %d times:\n%s", logged, log)
	}
}

// Close waits for a receiver that does not respond, but not for long.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer server.Close()
	defer close(hangs)
	config, errs := parse(map[string]string{endpoint: server.URL})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	traces, _ := export(t, config)
	span(t, traces, "request")
	started := time.Now()
	traces.Close()
	if took := time.Since(started); took < 4*time.Second || took > 8*time.Second {
		t.Errorf("closed after %s", took)
	}
}

// The console gets a line for each span.
func TestConsole(t *testing.T) {
	config, errs := parse(map[string]string{"OTEL_TRACES_EXPORTER": "console"})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var console log
	config.Console = &console
	traces, _ := export(t, config)
	span(t, traces, "a request")
	lines := strings.Split(strings.TrimSpace(console.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], " name=below ") || !strings.Contains(lines[0], " status=Error ") ||
		!strings.HasSuffix(lines[0], " n=7 error.type=broken") || !strings.Contains(lines[1], ` name="a request" took=`) {
		t.Errorf("%s", &console)
	}
	if _, id, _ := strings.Cut(lines[1], " span_id="); !strings.Contains(lines[0], " parent_id="+id[:16]+" ") {
		t.Errorf("%s", &console)
	}
}
