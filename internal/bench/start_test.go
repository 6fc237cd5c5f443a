package bench

import (
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/porttest"
)

// idle is how long a server runs without requests before its memory is measured.
const idle = time.Second

func BenchmarkStart(b *testing.B) {
	address, admin := porttest.Address(b), porttest.Address(b)
	environment := serverEnvironment(b.TempDir(), address, admin)
	first := start(b, environment, "sesame", "serve")
	first.awaitReady(b, admin) // it has created the data folder
	first.stop(b)

	var startMS, idleMiB []float64
	for b.Loop() {
		started := time.Now()
		server := start(b, environment, "sesame", "serve")
		server.awaitReady(b, admin)
		startMS = append(startMS, time.Since(started).Seconds()*1000)
		if runtime.GOOS == "linux" {
			time.Sleep(idle)
			idleMiB = append(idleMiB, server.memoryMiB(b, "VmRSS"))
		}
		server.stop(b)
	}
	b.ReportMetric(0, "ns/op") // 0 hides it: it would include the idle time and the stop
	b.ReportMetric(median(startMS), "start-ms")
	if len(idleMiB) > 0 {
		b.ReportMetric(median(idleMiB), "idle-MiB")
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
