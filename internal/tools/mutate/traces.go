package main

// traces has the guards of OpenTelemetry traces.
var traces = []guard{
	{
		what: "only the trace of a trusted proxy continues",
		file: "internal/httpapi/trace.go",
		code: `if m.proxies.trustPeer(peerOf(r)) {`,
		gone: `if m.proxies.trustPeer(peerOf(r)) || true {`,
		pkg:  "internal/server", run: "TestTracesContinue|TestTracesAreSampled",
	},
	{
		what: "the name of a span has no ids of the path",
		file: "internal/httpapi/trace.go",
		code: `m.tracer.Start(ctx, r.Method+" "+operation.Path, options...)`,
		gone: `m.tracer.Start(ctx, r.Method+" "+r.URL.Path, options...)`,
		pkg:  "internal/server", run: "TestTracesArePrivate",
	},
	{
		what: "the headers of traces are not sent to another server",
		file: "internal/tracing/otlp/client.go",
		code: `		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
`,
		gone: ``,
		pkg:  "internal/tracing/otlp", run: "TestRetries",
	},
	{
		what: "the endpoint of traces contains no credentials, which errors would quote",
		file: "internal/tracing/otlp/config.go",
		code: `case parsed.User != nil:`,
		gone: `case parsed.User != nil && false:`,
		pkg:  "internal/tracing/otlp", run: "TestInvalidVariables",
	},
	{
		what: "a mistyped ratio does not record every trace",
		file: "internal/tracing/otlp/sdk.go",
		code: `if err != nil || !(ratio >= 0 && ratio <= 1) {`,
		gone: `if err != nil && ratio > 1 {`,
		pkg:  "internal/tracing/otlp", run: "TestInvalidVariables",
	},
	{
		what: "the server stops although the receiver of traces does not respond",
		file: "internal/tracing/otlp/otlp.go",
		code: `bounded, done := context.WithTimeout(exporting, closeTimeout)`,
		gone: `bounded, done := context.WithTimeout(exporting, 10*closeTimeout)`,
		pkg:  "internal/tracing/otlp", run: "TestCloseIsBounded",
	},
	{
		what: "a receiver of traces that is down is logged once a minute",
		file: "internal/tracing/otlp/otlp.go",
		code: `		l.failed.Happened()
	}
	return nil`,
		gone: `		l.failed.Happened()
		return err
	}
	return nil`,
		pkg: "internal/tracing/otlp", run: "TestUnreachableReceiver",
	},
}
