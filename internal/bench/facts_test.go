package bench

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// writeFacts writes what the figures depend on, in lines that benchstat ignores.
func writeFacts(output io.Writer) {
	commit := "unknown"
	if described, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		commit = strings.TrimSpace(string(described))
	}
	facts := []string{
		"Date: " + time.Now().UTC().Format(time.DateOnly),
		"Commit: " + commit,
		fmt.Sprintf("Machine: %d processors, %s/%s; clients, servers and databases share it",
			runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		"Go: " + strings.TrimPrefix(runtime.Version(), "go"),
	}
	if url := os.Getenv("SESAME_TEST_POSTGRES_URL"); url != "" {
		facts = append(facts, "PostgreSQL: "+postgresFacts(url))
	}
	if *peers != "" {
		for one := range strings.SplitSeq(*peers, ",") {
			name, path, _ := strings.Cut(one, "=")
			facts = append(facts, "Peer: "+name+", "+buildOf(peerPath(path)))
		}
	}
	for _, fact := range facts {
		_, _ = fmt.Fprintf(output, "# %s\n", fact) // best effort
	}
}

// postgresFacts returns the version of PostgreSQL and the settings that matter most.
func postgresFacts(url string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = conn.Close(ctx) }()
	var facts []string
	for _, setting := range []string{
		"server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size",
	} {
		var value string
		if err := conn.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil {
			return err.Error()
		}
		facts = append(facts, setting+"="+value)
	}
	return strings.Join(facts, ", ")
}

// buildOf returns the modules of a program written in Go that are its own, and its commit.
func buildOf(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return err.Error()
	}
	facts := []string{info.Main.Path + " " + info.Main.Version, info.GoVersion}
	for _, module := range info.Deps {
		if strings.HasPrefix(module.Path, "github.com/pocketbase/pocketbase") {
			facts[0] = module.Path + " " + module.Version
		}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			facts = append(facts, "commit "+setting.Value)
		}
	}
	return strings.Join(facts, ", ")
}
