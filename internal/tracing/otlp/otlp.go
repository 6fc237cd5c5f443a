// Package otlp exports traces to an OTLP receiver, such as an OpenTelemetry Collector.
//
// It is configured with the environment variables of the OpenTelemetry specification: see
// [ParseConfig]. The protocol is OTLP over HTTP with protobuf. Package otlptracehttp of OpenTelemetry
// would do the same, but it links gRPC, which makes the program two megabytes larger. The spans are
// encoded here, too: package otlptrace links protobuf's runtime, which makes the program 1.6
// megabytes larger. The tests compare both encodings.
package otlp

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/sesame-auth/sesame/internal/rarelog"
	"github.com/sesame-auth/sesame/internal/tracing"
	"github.com/sesame-auth/sesame/internal/version"
)

// closeTimeout is how long Close waits for the receiver.
const closeTimeout = 5 * time.Second

// Traces exports the spans of one server in the background. A receiver that does not respond delays
// nothing: spans are dropped when 2,048 wait (OTEL_BSP_MAX_QUEUE_SIZE).
type Traces struct {
	provider *sdktrace.TracerProvider
	close    func()
}

// New returns Traces, which the caller must close.
func New(ctx context.Context, config Config, log *slog.Logger) (*Traces, error) {
	described, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceVersion(version.Current().Version)),
		resource.WithAttributes(config.resource...))
	if err != nil {
		return nil, fmt.Errorf("describe the server in traces: %w", err)
	}
	exporting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	export := sdktrace.WithSyncer(newConsole(config.Console))
	if !config.ToConsole {
		export = sdktrace.WithBatcher(newLogged(newClient(exporting, config), log), config.batches...)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(described), sdktrace.WithSampler(config.sampler), export)
	return &Traces{provider: provider, close: func() {
		defer cancel()
		bounded, done := context.WithTimeout(exporting, closeTimeout)
		defer done()
		if err := provider.Shutdown(bounded); err != nil {
			log.Warn("the last traces could not be exported, and are lost", "err", err)
		}
	}}, nil
}

// Tracer returns the tracer of the server's spans.
func (t *Traces) Tracer() trace.Tracer { return tracing.Tracer(t.provider) }

// Flush exports the spans that have ended.
func (t *Traces) Flush(ctx context.Context) error { return t.provider.ForceFlush(ctx) }

// Close exports the spans that have ended. It gives up after closeTimeout.
func (t *Traces) Close() { t.close() }

// logged is an exporter that logs its errors, at most once a minute.
type logged struct {
	sdktrace.SpanExporter

	failed *rarelog.Event
	latest atomic.Value // of error
}

func newLogged(exporter sdktrace.SpanExporter, log *slog.Logger) *logged {
	l := &logged{SpanExporter: exporter}
	l.failed = rarelog.New(func(count int) {
		log.Warn("traces could not be exported, and are lost", "batches", count, "err", l.latest.Load())
	})
	return l
}

// ExportSpans exports spans. It returns no error, because the SDK would log each one by itself.
func (l *logged) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := l.SpanExporter.ExportSpans(ctx, spans); err != nil {
		l.latest.Store(fmt.Errorf("%w", err)) // a Value stores one type only
		l.failed.Happened()
	}
	return nil
}
