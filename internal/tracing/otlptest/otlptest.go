// Package otlptest is an OTLP receiver for tests.
package otlptest

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sesame-auth/sesame/internal/tracing/otlp"
)

// patience is how long a test waits for spans.
const patience = 20 * time.Second

// Receiver is an OTLP receiver that keeps all spans.
type Receiver struct {
	URL string // of the OTLP endpoint of all signals

	mu       sync.Mutex
	spans    []Span
	requests []*http.Request // their bodies were read
	respond  func(w http.ResponseWriter) bool
	raw      string        // everything as JSON
	arrived  chan struct{} // closed when a request arrives
}

// Span is a span that has arrived.
type Span struct {
	Trace, ID, Parent string // in hex
	Name              string
	Kind              string // such as "SERVER"
	Attributes        map[string]string
	Resource          map[string]string
	Links             []Link
	Failed            bool
	Started           time.Time
	Took              time.Duration
}

// Link is a link to another span.
type Link struct{ Trace, ID, State string }

// Start starts a receiver until the test ends.
func Start(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{arrived: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Config returns the configuration of a server with these OTEL_ variables, which exports its spans to
// the receiver at once.
func (r *Receiver) Config(t testing.TB, variables map[string]string) otlp.Config {
	t.Helper()
	all := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": r.URL, "OTEL_BSP_SCHEDULE_DELAY": "5"}
	for name, value := range variables {
		all[name] = value
	}
	config, errs := otlp.ParseConfig(func(name string) string { return all[name] })
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return config
}

// Respond makes the receiver call respond first. If it returns true, it has responded.
func (r *Receiver) Respond(respond func(w http.ResponseWriter) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.respond = respond
}

func (r *Receiver) serve(w http.ResponseWriter, request *http.Request) {
	message, err := read(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { close(r.arrived); r.arrived = make(chan struct{}) }()
	r.requests = append(r.requests, request)
	switch {
	case r.respond != nil && r.respond(w):
	case err != nil || request.URL.Path != "/v1/traces":
		http.Error(w, fmt.Sprint(request.URL, err), http.StatusBadRequest)
	default:
		r.raw += protojson.Format(message)
		for _, of := range message.GetResourceSpans() {
			for _, scope := range of.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					r.spans = append(r.spans, spanOf(span, of.GetResource().GetAttributes()))
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf") // of an empty message
	}
}

func read(request *http.Request) (message *tracepb.TracesData, err error) {
	var body io.Reader = request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return nil, err
		}
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	message = &tracepb.TracesData{}
	return message, proto.Unmarshal(content, message)
}

func spanOf(span *tracepb.Span, resource []*commonpb.KeyValue) Span {
	started := time.Unix(0, int64(span.GetStartTimeUnixNano()))
	s := Span{
		Trace: hex.EncodeToString(span.GetTraceId()), ID: hex.EncodeToString(span.GetSpanId()),
		Parent: hex.EncodeToString(span.GetParentSpanId()), Name: span.GetName(),
		Kind: span.GetKind().String()[len("SPAN_KIND_"):], Attributes: texts(span.GetAttributes()), Resource: texts(resource),
		Failed:  span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Started: started, Took: time.Unix(0, int64(span.GetEndTimeUnixNano())).Sub(started),
	}
	for _, link := range span.GetLinks() {
		s.Links = append(s.Links, Link{
			hex.EncodeToString(link.GetTraceId()), hex.EncodeToString(link.GetSpanId()), link.GetTraceState(),
		})
	}
	return s
}

func texts(attributes []*commonpb.KeyValue) map[string]string {
	byName := make(map[string]string)
	for _, a := range attributes {
		switch value := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			byName[a.GetKey()] = value.StringValue
		case *commonpb.AnyValue_IntValue:
			byName[a.GetKey()] = fmt.Sprint(value.IntValue)
		default:
			byName[a.GetKey()] = a.GetValue().String()
		}
	}
	return byName
}

// Spans returns the spans that have arrived, in the order in which they ended.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Requests returns the requests that have arrived.
func (r *Receiver) Requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// String returns everything that has arrived as JSON.
func (r *Receiver) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.raw
}

// Await waits until done returns true, and fails the test if that takes too long.
func (r *Receiver) Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.After(patience); ; {
		r.mu.Lock()
		arrived := r.arrived
		r.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("%s did not arrive; these spans did:\n%+v", what, r.Spans())
		}
	}
}

// Trace waits for a span with an attribute, and returns it and the spans of its trace. It must be the
// last span of the trace that ends.
func (r *Receiver) Trace(t testing.TB, attribute, value string) (last Span, trace []Span) {
	t.Helper()
	r.Await(t, attribute+"="+value, func() bool {
		spans := r.Spans()
		i := slices.IndexFunc(spans, func(s Span) bool { return s.Attributes[attribute] == value })
		if i < 0 {
			return false
		}
		last = spans[i]
		trace = slices.DeleteFunc(spans, func(s Span) bool { return s.Trace != last.Trace })
		return true
	})
	return last, trace
}
