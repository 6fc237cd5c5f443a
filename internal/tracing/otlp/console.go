package otlp

import (
	"context"
	"io"
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// console is an exporter that writes one line for each span, when the span ends.
type console struct{ handler slog.Handler }

func newConsole(out io.Writer) console { return console{slog.NewTextHandler(out, nil)} }

// ExportSpans writes spans. The time of a line is the start of the span.
func (c console) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		line := slog.NewRecord(span.StartTime(), slog.LevelInfo, "span", 0)
		line.AddAttrs(
			slog.String("name", span.Name()), slog.Duration("took", span.EndTime().Sub(span.StartTime())),
			slog.String("status", span.Status().Code.String()),
			slog.String("trace_id", span.SpanContext().TraceID().String()),
			slog.String("span_id", span.SpanContext().SpanID().String()),
			slog.String("parent_id", span.Parent().SpanID().String()))
		for _, attribute := range span.Attributes() {
			line.AddAttrs(slog.Any(string(attribute.Key), attribute.Value.AsInterface()))
		}
		if err := c.handler.Handle(ctx, line); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown does nothing.
func (console) Shutdown(context.Context) error { return nil }
