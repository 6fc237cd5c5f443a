package httpapi

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/tracing"
)

// trace is a middleware that starts the span of a call of an operation, which handle ends. Pages have
// none.
//
// A request of a trusted proxy continues the trace of its traceparent header. Anybody else could
// decide with this header which traces are recorded, and add spans to the traces of others. So their
// requests begin a new trace, which only links to theirs.
//
// The middleware of OpenTelemetry for net/http would record the IP address and the User-Agent of
// the client, and the path with the ids in it.
func (m *middleware) trace(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		operation := m.validator.operation(r.Method, c.Path())
		if operation == nil {
			return next(c)
		}
		scheme, _, _ := strings.Cut(m.problems.publicURL, ":")
		ctx, state := r.Context(), stateOf(r.Context())
		options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(r.Method), semconv.HTTPRoute(operation.Path), semconv.URLScheme(scheme),
			attribute.String("sesame.operation", operation.Operation.OperationID),
			attribute.String("sesame.request.id", state.client.RequestID))}
		sent := propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		if m.proxies.trustPeer(peerOf(r)) {
			ctx = sent
		} else if remote := trace.SpanContextFromContext(sent); remote.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: remote}))
		}
		ctx, state.span = m.tracer.Start(ctx, r.Method+" "+operation.Path, options...)
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

// endSpan ends the span of a request.
func (s *requestState) endSpan(status int) {
	if !s.span.IsRecording() {
		return // without an allocation
	}
	s.span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if status >= http.StatusInternalServerError {
		tracing.Fail(s.span, strconv.Itoa(status))
	}
	s.span.End()
}

// setProblem records the code of the problem that a request returns.
func (s *requestState) setProblem(code api.ProblemCode) {
	if s.span.IsRecording() {
		s.span.SetAttributes(attribute.String("sesame.problem.code", code))
	}
}

// logged returns what identifies a request in the log: its id and, if it has a span, the ids of the
// trace and the span.
func (s *requestState) logged() slog.Attr {
	id := slog.String("id", s.client.RequestID)
	span := s.span.SpanContext()
	if !span.IsValid() {
		return id
	}
	return slog.Group("", id, // with an empty name, its attributes are not nested
		slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
}
