package otlp

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// capture is a client of OpenTelemetry's exporter that keeps what it would send.
type capture struct{ tracepb.TracesData }

func (*capture) Start(context.Context) error { return nil }
func (*capture) Stop(context.Context) error  { return nil }

func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.ResourceSpans = spans
	return nil
}

// official returns the message of OpenTelemetry's exporter.
func official(t *testing.T, spans []sdktrace.ReadOnlySpan) *tracepb.TracesData {
	t.Helper()
	var sent capture
	exporter, err := otlptrace.New(t.Context(), &sent)
	if err == nil {
		err = exporter.ExportSpans(t.Context(), spans)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sorted(&sent.TracesData)
}

// encoded returns the message of encode.
func encoded(t *testing.T, spans []sdktrace.ReadOnlySpan) *tracepb.TracesData {
	t.Helper()
	message := &tracepb.TracesData{}
	if err := proto.Unmarshal(encode(spans), message); err != nil {
		t.Fatal(err)
	}
	return sorted(message)
}

// sorted sorts resources by their first spans. OpenTelemetry's exporter has them in no order.
func sorted(message *tracepb.TracesData) *tracepb.TracesData {
	first := func(r *tracepb.ResourceSpans) string { return r.GetScopeSpans()[0].GetSpans()[0].GetName() }
	slices.SortFunc(message.GetResourceSpans(), func(a, b *tracepb.ResourceSpans) int {
		return strings.Compare(first(a), first(b))
	})
	return message
}

// everyValue has attributes of all types, with and without content.
var everyValue = []attribute.KeyValue{
	{Key: "nothing"},
	attribute.String("", ""), attribute.String("string", "a \U0001F511"),
	attribute.Bool("false", false), attribute.Bool("true", true),
	attribute.Int64("zero", 0), attribute.Int64("smallest", math.MinInt64), attribute.Int64("largest", math.MaxInt64),
	attribute.Float64("none", 0), attribute.Float64("NaN", math.NaN()), attribute.Float64("infinite", math.Inf(-1)),
	attribute.BoolSlice("no bools", nil), attribute.BoolSlice("bools", []bool{true, false}),
	attribute.Int64Slice("no ints", nil), attribute.Int64Slice("ints", []int64{0, -1, 300}),
	attribute.Float64Slice("no floats", nil), attribute.Float64Slice("floats", []float64{0, 0.1, math.MaxFloat64}),
	attribute.StringSlice("no strings", nil), attribute.StringSlice("strings", []string{"", "a", "b"}),
	attribute.ByteSlice("no bytes", nil), attribute.ByteSlice("bytes", []byte{0, 0xff}),
	attribute.Slice("no values"),
	attribute.Slice("values", attribute.Value{}, attribute.IntValue(1), attribute.SliceValue(attribute.BoolValue(true))),
	attribute.Map("no pairs"),
	attribute.Map("pairs", attribute.Int("a", 1), attribute.Map("b", attribute.String("c", "d"))),
}

// everyField has spans of two resources and five scopes, in which all fields are set or all are empty.
func everyField(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	state, err := trace.ParseTraceState("vendor=value,other=1")
	if err != nil {
		t.Fatal(err)
	}
	local := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 15: 2}, SpanID: trace.SpanID{3, 7: 4}, TraceFlags: 0xff, TraceState: state,
	})
	remote := local.WithSpanID(trace.SpanID{5}).WithRemote(true)
	at := time.Date(2030, time.January, 2, 3, 4, 5, 6, time.UTC)
	full := func(name string, kind trace.SpanKind, status codes.Code) tracetest.SpanStub {
		return tracetest.SpanStub{
			Name: name, SpanContext: local, Parent: remote, SpanKind: kind, StartTime: at, EndTime: at.Add(time.Minute),
			Attributes: everyValue, DroppedAttributes: 1, DroppedEvents: 300, DroppedLinks: math.MaxInt32,
			Events: []sdktrace.Event{
				{}, {Name: "event", Time: at, Attributes: everyValue, DroppedAttributeCount: 4},
			},
			Links: []sdktrace.Link{
				{}, {SpanContext: local, Attributes: everyValue, DroppedAttributeCount: 5}, {SpanContext: remote},
			},
			Status:               sdktrace.Status{Code: status, Description: "described"},
			Resource:             resource.NewWithAttributes("https://resource.example", everyValue...),
			InstrumentationScope: instrumentation.Scope{Name: "a"},
		}
	}
	stubs := tracetest.SpanStubs{
		full("a", trace.SpanKindInternal, codes.Unset), full("b", trace.SpanKindServer, codes.Ok),
		full("c", trace.SpanKindClient, codes.Error), full("d", trace.SpanKindProducer, codes.Error),
		full("e", trace.SpanKindConsumer, codes.Error),
		{}, {Name: "f", SpanContext: remote, Parent: local, Resource: resource.Empty()},
		{Name: "g", StartTime: time.Unix(-1, 0), EndTime: time.Unix(0, 1)},
	}
	stubs[2].InstrumentationScope = instrumentation.Scope{
		Name: "a", Version: "1", SchemaURL: "https://scope.example", Attributes: attribute.NewSet(everyValue...),
	}
	stubs[3].InstrumentationScope = instrumentation.Scope{Name: "a", Version: "1"}
	stubs[4].InstrumentationScope = instrumentation.Scope{Version: "1"}
	return stubs.Snapshots()
}

// encode does what OpenTelemetry's exporter does, alone and with spans together.
func TestEncode(t *testing.T) {
	all := everyField(t)
	batches := [][]sdktrace.ReadOnlySpan{nil, all}
	for i := range all {
		batches = append(batches, all[i:i+1])
	}
	for i, spans := range batches {
		if got, want := encoded(t, spans), official(t, spans); !proto.Equal(got, want) {
			t.Errorf("batch %d: %s\nwant %s", i, protojson.Format(got), protojson.Format(want))
		}
	}
}

// TestEncode compares all fields except those that OpenTelemetry's exporter does not set.
func TestEncodeIsCompared(t *testing.T) {
	set := make(map[protoreflect.FullName]bool)
	addFields(official(t, everyField(t)).ProtoReflect(), set)
	maps.DeleteFunc(set, func(_ protoreflect.FullName, isSet bool) bool { return isSet })
	const common, resource = "opentelemetry.proto.common.v1.", "opentelemetry.proto.resource.v1."
	want := []protoreflect.FullName{
		common + "AnyValue.string_value_strindex", common + "InstrumentationScope.dropped_attributes_count",
		common + "KeyValue.key_strindex", resource + "Resource.dropped_attributes_count",
		resource + "Resource.entity_refs", "opentelemetry.proto.trace.v1.Span.Link.trace_state",
	}
	if missing := slices.Sorted(maps.Keys(set)); !slices.Equal(missing, want) {
		t.Errorf("not compared: %q, want %q", missing, want)
	}
}

// addFields adds the fields of a message and of those in it, and whether they are set anywhere.
func addFields(message protoreflect.Message, set map[protoreflect.FullName]bool) {
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		set[field.FullName()] = set[field.FullName()] || message.Has(field)
		switch {
		case field.Message() == nil:
		case field.IsList():
			list := message.Get(field).List()
			for j := range list.Len() {
				addFields(list.Get(j).Message(), set)
			}
		case message.Has(field):
			addFields(message.Get(field).Message(), set)
		}
	}
}

// One text that is not UTF-8 would make the receiver refuse all spans.
func TestEncodeRepairsTexts(t *testing.T) {
	spans := tracetest.SpanStubs{{
		Name: "a\xff", Attributes: []attribute.KeyValue{attribute.String("\xff", "b\xff")},
	}}
	message := encoded(t, spans.Snapshots())
	span := message.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0]
	pair := span.GetAttributes()[0]
	if span.GetName() != "a\uFFFD" || pair.GetKey() != "\uFFFD" || pair.GetValue().GetStringValue() != "b\uFFFD" {
		t.Errorf("%s", protojson.Format(message))
	}
}
