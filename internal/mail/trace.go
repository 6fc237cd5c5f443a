package mail

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// startSpan starts the span of an attempt to send an email. It begins a trace: the request that
// stored the email may be long over.
func (o *Outbox) startSpan(ctx context.Context, entry *Entry) (context.Context, trace.Span) {
	if o.tracer == nil {
		return ctx, trace.SpanFromContext(ctx) // does nothing
	}
	return o.tracer.Start(ctx, "send email", trace.WithNewRoot(), trace.WithAttributes(
		attribute.String("sesame.email.kind", string(entry.Kind)), attribute.String("sesame.email.id", entry.ID),
		attribute.Int("sesame.email.attempt", entry.Attempts)))
}

// errorType returns the type of the error of an attempt, or "" if there is none. The text of the
// error can contain the recipient.
func errorType(err error) string {
	switch {
	case err == nil, errors.Is(err, errNothingToSend):
		return ""
	case errors.Is(err, ErrRejected):
		return "rejected"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	case errors.Is(err, ErrDeferred):
		return "deferred"
	case errors.Is(err, ErrUnavailable):
		return "unavailable"
	case errors.Is(err, ErrUnreachable):
		return "unreachable"
	}
	return semconv.ErrorTypeOther.Value.AsString()
}
