package bench

import (
	"crypto/rand"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

// idle is how long a server runs without requests before its memory is measured.
const idle = time.Second

func BenchmarkStart(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			address, admin := porttest.Address(b), porttest.Address(b)
			environment := serverEnvironment(filepath.Join(b.TempDir(), "data"), address, admin)
			if engine == databasetest.Postgres {
				environment = append(environment, "SESAME_DATABASE_URL="+databasetest.URL(b, engine),
					"SESAME_SECRET="+base64.StdEncoding.EncodeToString([]byte(rand.Text()+rand.Text())))
			}
			first := start(b, environment, "sesame", "serve")
			first.awaitReady(b, admin) // the database is migrated, and has keys
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
		})
	}
}

// BenchmarkVersion runs a command that does nothing: its time is the start of every process of
// Sesame, such as those that hash passwords.
func BenchmarkVersion(b *testing.B) {
	binary := filepath.Join(binaries, "sesame")
	info, err := os.Stat(binary)
	if err != nil {
		b.Fatal(err)
	}
	var versionMS []float64
	for b.Loop() {
		started := time.Now()
		if err := exec.Command(binary, "version").Run(); err != nil {
			b.Fatal(err)
		}
		versionMS = append(versionMS, time.Since(started).Seconds()*1000)
	}
	b.ReportMetric(0, "ns/op") // 0 hides it: a median is more stable
	b.ReportMetric(median(versionMS), "version-ms")
	b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
