package bench

import (
	"context"
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
