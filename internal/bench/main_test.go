package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// binaries is the folder of the programs under load: sesame and floor.
var binaries string

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		databasetest.Main(m)
	}
	os.Exit(runBenchmarks(m))
}

// runBenchmarks builds the binaries, and runs m with a PostgreSQL server.
func runBenchmarks(m *testing.M) (status int) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks:", err)
			status = max(status, 1)
		}
	}
	if !isGiven("test.benchtime") {
		fail(flag.Set("test.benchtime", "3s"))
	}
	var err error
	if binaries, err = os.MkdirTemp("", "sesame-bench-"); err != nil {
		fail(err)
		return status
	}
	defer func() { fail(os.RemoveAll(binaries)) }()
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binaries, // as make build does
		"./cmd/sesame", "./internal/tools/floor")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fail(fmt.Errorf("go build: %w", err))
		return status
	}
	writeFacts(os.Stdout)
	return databasetest.Run(m)
}

func isGiven(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}
