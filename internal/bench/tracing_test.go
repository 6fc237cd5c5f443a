package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// BenchmarkTracing compares POST /auth with and without the export of traces.
func BenchmarkTracing(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			var received atomic.Int64
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				size, _ := io.Copy(io.Discard, r.Body) // a request that breaks off is sent again
				received.Add(size)
			}))
			defer collector.Close()
			authenticate := func(settings ...string) []caller {
				in := install(b, engine, settings...)
				sessions := in.logIn(b)
				return posting(b, in.address, func(i int) []byte {
					return request("/auth", "Authorization: Bearer "+sessions[i].accessToken+"\r\n", "")
				})
			}
			off := authenticate("OTEL_TRACES_EXPORTER=none")
			for _, sampled := range []struct{ name, ratio string }{{"all", "1"}, {"one-in-100", "0.01"}} {
				b.Run(sampled.name, func(b *testing.B) {
					on := authenticate("OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL,
						"OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG="+sampled.ratio)
					before := received.Load()
					compare(b, off, on).report(b, "off-req/s")
					if received.Load() == before {
						b.Error("the collector has received nothing")
					}
				})
			}
		})
	}
}
