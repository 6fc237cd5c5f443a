// Package tracing records spans of OpenTelemetry traces: what the time of a request or an email is
// spent on. Package otlp exports them.
//
// A span is only recorded below another one. If traces are on, the HTTP layer starts a span for each
// call of an operation, and the outbox one for each email. So the other packages need no
// configuration, and work that is part of neither, such as deleting expired rows, is in no trace.
//
// No attribute may contain an email, an IP address, a password or a token, and none may contain the
// text of an error, which can quote one of them.
package tracing

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Tracer returns the tracer of a provider.
func Tracer(provider trace.TracerProvider) trace.Tracer {
	return provider.Tracer("github.com/sesame-auth/sesame")
}

// IsRecorded reports whether spans below the one of ctx are recorded.
func IsRecorded(ctx context.Context) bool { return trace.SpanFromContext(ctx).IsRecording() }

// Start starts a span below the one of ctx, if that is recorded. The caller must end it.
func Start(ctx context.Context, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, trace.SpanFromContext(context.Background()) // does nothing
	}
	return Tracer(parent.TracerProvider()).Start(ctx, name)
}

// Record records a span below the one of ctx, if that is recorded. It started earlier and ends now.
// See Fail for failure.
func Record(ctx context.Context, name string, started time.Time, failure string, options ...trace.SpanStartOption) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	options = append(options, trace.WithTimestamp(started))
	_, span := Tracer(parent.TracerProvider()).Start(ctx, name, options...)
	Fail(span, failure)
	span.End()
}

// Fail marks a span as failed. failure is the type of the error, not its text; if it is empty, Fail
// does nothing.
func Fail(span trace.Span, failure string) {
	if failure != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(failure))
		span.SetStatus(codes.Error, "")
	}
}
