package otlp

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// encode returns an ExportTraceServiceRequest with spans, grouped by resource and scope.
//
// The messages and the numbers of their fields are those of trace/v1/trace.proto,
// common/v1/common.proto and resource/v1/resource.proto in
// https://github.com/open-telemetry/opentelemetry-proto/tree/main/opentelemetry/proto.
func encode(spans []sdktrace.ReadOnlySpan) []byte {
	resourceOf := func(s sdktrace.ReadOnlySpan) attribute.Distinct { return s.Resource().Equivalent() }
	var m message
	for _, ofResource := range groupBy(spans, resourceOf) {
		m.bytes(1, encodeResourceSpans(ofResource))
	}
	return m
}

// groupBy splits spans by a key. The groups are in the order of their first spans.
func groupBy[K comparable](spans []sdktrace.ReadOnlySpan, key func(sdktrace.ReadOnlySpan) K) [][]sdktrace.ReadOnlySpan {
	var groups [][]sdktrace.ReadOnlySpan
	numbers := make(map[K]int)
	for _, span := range spans {
		number, found := numbers[key(span)]
		if !found {
			number = len(groups)
			numbers[key(span)] = number
			groups = append(groups, nil)
		}
		groups[number] = append(groups[number], span)
	}
	return groups
}

// encodeResourceSpans returns a ResourceSpans with spans of the same resource.
func encodeResourceSpans(spans []sdktrace.ReadOnlySpan) (m message) {
	resource := spans[0].Resource()
	if resource != nil {
		var r message
		r.attributes(1, resource.Attributes())
		m.bytes(1, r)
	}
	for _, ofScope := range groupBy(spans, sdktrace.ReadOnlySpan.InstrumentationScope) {
		m.bytes(2, encodeScopeSpans(ofScope))
	}
	m.text(3, resource.SchemaURL())
	return m
}

// encodeScopeSpans returns a ScopeSpans with spans of the same scope.
func encodeScopeSpans(spans []sdktrace.ReadOnlySpan) (m message) {
	scope := spans[0].InstrumentationScope()
	if scope != (instrumentation.Scope{}) {
		var s message
		s.text(1, scope.Name)
		s.text(2, scope.Version)
		s.attributes(3, scope.Attributes.ToSlice())
		m.bytes(1, s)
	}
	for _, span := range spans {
		m.bytes(2, encodeSpan(span))
	}
	m.text(3, scope.SchemaURL)
	return m
}

// encodeSpan returns a Span.
func encodeSpan(span sdktrace.ReadOnlySpan) (m message) {
	m.context(span.SpanContext())
	m.text(3, span.SpanContext().TraceState().String())
	if parent := span.Parent().SpanID(); parent.IsValid() {
		m.bytes(4, parent[:])
	}
	m.text(5, span.Name())
	m.number(6, int64(span.SpanKind())) // the numbers of SpanKind are the same
	m.time(7, span.StartTime())
	m.time(8, span.EndTime())
	m.attributes(9, span.Attributes())
	m.number(10, int64(span.DroppedAttributes()))
	for _, event := range span.Events() {
		var e message
		e.time(1, event.Time)
		e.text(2, event.Name)
		e.attributes(3, event.Attributes)
		e.number(4, int64(event.DroppedAttributeCount))
		m.bytes(11, e)
	}
	m.number(12, int64(span.DroppedEvents()))
	for _, link := range span.Links() {
		var l message
		l.context(link.SpanContext)
		l.attributes(4, link.Attributes)
		l.number(5, int64(link.DroppedAttributeCount))
		l.flags(6, link.SpanContext, link.SpanContext)
		m.bytes(13, l)
	}
	m.number(14, int64(span.DroppedLinks()))
	m.bytes(15, encodeStatus(span.Status()))
	m.flags(16, span.SpanContext(), span.Parent())
	return m
}

// encodeStatus returns a Status.
func encodeStatus(status sdktrace.Status) (m message) {
	m.text(2, status.Description)
	switch status.Code {
	case codes.Ok:
		m.number(3, 1)
	case codes.Error:
		m.number(3, 2)
	}
	return m
}

// encodeValue returns an AnyValue.
func encodeValue(v attribute.Value) (m message) {
	switch v.Type() {
	case attribute.EMPTY:
	case attribute.STRING:
		m.text(1, v.AsString())
	case attribute.BOOL:
		m.number(2, int64(protowire.EncodeBool(v.AsBool()))) //nolint:gosec // 0 or 1
	case attribute.INT64:
		m.number(3, v.AsInt64())
	case attribute.FLOAT64:
		m.fixed64(4, math.Float64bits(v.AsFloat64()))
	case attribute.BOOLSLICE:
		m.bytes(5, encodeArray(v.AsBoolSlice(), attribute.BoolValue))
	case attribute.INT64SLICE:
		m.bytes(5, encodeArray(v.AsInt64Slice(), attribute.Int64Value))
	case attribute.FLOAT64SLICE:
		m.bytes(5, encodeArray(v.AsFloat64Slice(), attribute.Float64Value))
	case attribute.STRINGSLICE:
		m.bytes(5, encodeArray(v.AsStringSlice(), attribute.StringValue))
	case attribute.SLICE:
		m.bytes(5, encodeArray(v.AsSlice(), func(v attribute.Value) attribute.Value { return v }))
	case attribute.MAP:
		var pairs message // a KeyValueList
		pairs.attributes(1, v.AsMap())
		m.bytes(6, pairs)
	case attribute.BYTESLICE:
		m.bytes(7, v.AsByteSlice())
	default: // of a newer SDK
		m.text(1, v.String())
	}
	return m
}

// encodeArray returns an ArrayValue.
func encodeArray[T any](elements []T, value func(T) attribute.Value) (m message) {
	for _, element := range elements {
		m.bytes(1, encodeValue(value(element)))
	}
	return m
}

// message is an encoded protobuf message. Its methods append fields, also those with a zero value,
// which protobuf allows.
type message []byte

// bytes appends bytes or an encoded message.
func (m *message) bytes(field protowire.Number, content []byte) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendBytes(*m, content)
}

// text appends a string. It must be UTF-8, or receivers reject the whole request.
func (m *message) text(field protowire.Number, content string) {
	*m = protowire.AppendTag(*m, field, protowire.BytesType)
	*m = protowire.AppendString(*m, strings.ToValidUTF8(content, "\uFFFD"))
}

// number appends an integer, a bool or an enum.
func (m *message) number(field protowire.Number, number int64) {
	*m = protowire.AppendTag(*m, field, protowire.VarintType)
	*m = protowire.AppendVarint(*m, uint64(number)) //nolint:gosec // the encoding of an int64
}

func (m *message) fixed64(field protowire.Number, bits uint64) {
	*m = protowire.AppendTag(*m, field, protowire.Fixed64Type)
	*m = protowire.AppendFixed64(*m, bits)
}

// time appends the nanoseconds since 1970.
func (m *message) time(field protowire.Number, t time.Time) {
	m.fixed64(field, uint64(max(0, t.UnixNano())))
}

// attributes appends a KeyValue for each attribute.
func (m *message) attributes(field protowire.Number, attributes []attribute.KeyValue) {
	for _, a := range attributes {
		var pair message
		pair.text(1, string(a.Key))
		pair.bytes(2, encodeValue(a.Value))
		m.bytes(field, pair)
	}
}

// context appends the ids of a Span or a Link.
func (m *message) context(context trace.SpanContext) {
	traceID, spanID := context.TraceID(), context.SpanID()
	m.bytes(1, traceID[:])
	m.bytes(2, spanID[:])
}

// flags appends SpanFlags: those of a context, and whether another one came from another process.
func (m *message) flags(field protowire.Number, context, other trace.SpanContext) {
	const hasIsRemote, isRemote = 0x100, 0x200
	flags := uint32(context.TraceFlags()) | hasIsRemote
	if other.IsRemote() {
		flags |= isRemote
	}
	*m = protowire.AppendTag(*m, field, protowire.Fixed32Type)
	*m = protowire.AppendFixed32(*m, flags)
}
