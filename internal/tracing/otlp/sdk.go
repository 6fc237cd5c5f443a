package otlp

import (
	"cmp"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// The SDK would read the variables of this file by itself, but ignore invalid ones: with a mistyped
// ratio, it would record every trace.

// sampler returns which traces are recorded.
func (p *parser) sampler() sdktrace.Sampler {
	const name, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	chosen := cmp.Or(strings.TrimSpace(p.get(name)), "parentbased_always_on")
	root, isParentBased := strings.CutPrefix(chosen, "parentbased_")
	var sampler sdktrace.Sampler
	switch root {
	case "always_on":
		sampler = sdktrace.AlwaysSample()
	case "always_off":
		sampler = sdktrace.NeverSample()
	case "traceidratio":
		ratio, err := strconv.ParseFloat(cmp.Or(strings.TrimSpace(p.get(argument)), "1"), 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) { // false for NaN
			p.fail(argument, errors.New("must be a number from 0 to 1"))
		}
		sampler = sdktrace.TraceIDRatioBased(ratio)
	default:
		p.fail(name, errors.New("must be always_on, always_off or traceidratio, or one of them after parentbased_"))
	}
	if isParentBased {
		sampler = sdktrace.ParentBased(sampler)
	}
	return sampler
}

// batches returns how spans are collected before they are exported.
func (p *parser) batches() []sdktrace.BatchSpanProcessorOption {
	number := func(name string, fallback int) int {
		return p.number(variable{name, strings.TrimSpace(p.get(name))}, fallback)
	}
	milliseconds := func(name string, fallback int) time.Duration {
		return time.Duration(number(name, fallback)) * time.Millisecond
	}
	queue := number("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize)
	batch := min(queue, number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize))
	return []sdktrace.BatchSpanProcessorOption{
		sdktrace.WithMaxQueueSize(queue), sdktrace.WithMaxExportBatchSize(batch),
		sdktrace.WithBatchTimeout(milliseconds("OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay)),
		sdktrace.WithExportTimeout(milliseconds("OTEL_BSP_EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout)),
	}
}

// resource returns what describes the server.
func (p *parser) resource() []attribute.KeyValue {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	attributes := []attribute.KeyValue{semconv.ServiceName("sesame")}
	if pairs := strings.TrimSpace(p.get(name)); pairs != "" {
		for pair := range strings.SplitSeq(pairs, ",") {
			key, escaped, found := strings.Cut(strings.TrimSpace(pair), "=")
			value, err := url.PathUnescape(escaped)
			if !found || key == "" || err != nil {
				p.fail(name, errors.New("must be name=value, separated by commas, with percent-encoded values"))
				break
			}
			attributes = append(attributes, attribute.String(strings.TrimSpace(key), strings.TrimSpace(value)))
		}
	}
	if service := strings.TrimSpace(p.get("OTEL_SERVICE_NAME")); service != "" {
		attributes = append(attributes, semconv.ServiceName(service))
	}
	return attributes // of two with the same name, the last one counts
}
