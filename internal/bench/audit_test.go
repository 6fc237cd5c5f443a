package bench

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// auditedUsers is the number of users of BenchmarkAudit. Each has three events.
const auditedUsers = 200_000

// BenchmarkAudit prints all events of a large database with sesame audit, and then those of the
// last minute.
func BenchmarkAudit(b *testing.B) {
	hash := passwordHashOf(b)
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			databaseURL := databasetest.URL(b, engine)
			stored := &size{users: auditedUsers, in: prepare(b, engine, databaseURL)}
			if err := buildEach(b.Context(), []*size{stored}, []*rows{openRows(b, engine, databaseURL)}, hash); err != nil {
				b.Fatal(err)
			}
			var all, recent []float64
			for b.Loop() {
				seconds, events := stored.in.printAudit(b, "87600h")
				if events < 3*auditedUsers {
					b.Fatalf("sesame audit printed %d events, want %d", events, 3*auditedUsers)
				}
				all = append(all, float64(events)/seconds)
				seconds, _ = stored.in.printAudit(b, "1m")
				recent = append(recent, seconds*1000)
			}
			b.ReportMetric(0, "ns/op") // 0 hides it: the two commands are measured separately
			b.ReportMetric(median(all), "events/s")
			b.ReportMetric(median(recent), "last-minute-ms")
		})
	}
}

// printAudit runs sesame audit, and returns how long it took and how many events it printed.
func (in *installation) printAudit(b *testing.B, since string) (seconds float64, events int) {
	b.Helper()
	command := exec.Command(filepath.Join(binaries, "sesame"), "audit", "--json", "--since", since)
	command.Env = withSettings(in.environment)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, os.Stderr
	started := time.Now()
	if err := command.Run(); err != nil {
		b.Fatal(err)
	}
	return time.Since(started).Seconds(), bytes.Count(output.Bytes(), []byte("\n"))
}
