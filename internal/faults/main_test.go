package faults

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/processtest"
)

// page is where the figures are published.
const page = "../../docs/reliability.md"

var long = flag.Bool("long", false, "repeat each failure many times, and write the figures to docs/reliability.md")

func TestMain(m *testing.M) { processtest.Main(m) }

// rounds returns how often a test repeats a failure.
func rounds(short, extended int) int {
	if *long {
		return extended
	}
	return short
}

// begin skips the test with -short. Tests run in parallel, except with -long: they would change each
// other's figures.
func begin(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
	if !*long {
		t.Parallel()
	}
}

// figures are the results of one test.
type figures struct {
	mu           sync.Mutex
	rounds       int
	acknowledged int // operations that were acknowledged and checked
	lost         int // of these, operations without effect
	revived      int // ended sessions, replaced passwords and used reset tokens that work again
	longest      time.Duration
	recoveries   []time.Duration
}

// answered notes how long a client waited for a response during a failure.
func (f *figures) answered(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.longest = max(f.longest, took)
}

// recovered notes how long a recovery took, and counts the round.
func (f *figures) recovered(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rounds++
	f.recoveries = append(f.recoveries, took)
}

// report publishes the figures as a row of the page.
func (f *figures) report(t *testing.T, name string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.acknowledged == 0 {
		t.Errorf("%s: nothing was acknowledged", name)
	}
	publish(t, name, f.rounds, f.acknowledged, f.lost, f.revived, seconds(f.longest),
		seconds(median(f.recoveries)), seconds(slices.Max(f.recoveries)))
}

func median(durations []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[len(sorted)/2]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

var pageMutex sync.Mutex

// publish replaces the row of the page that begins with name, if this is a long run. The page must
// have such a row.
func publish(t *testing.T, name string, cells ...any) {
	t.Helper()
	row := "| " + name + " |"
	for _, cell := range cells {
		row += fmt.Sprintf(" %v |", cell)
	}
	t.Log(row)
	pageMutex.Lock()
	defer pageMutex.Unlock()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \|.*$`)
	if len(line.FindAll(content, -1)) != 1 {
		t.Errorf("%s has no row %q", page, name)
	}
	if !*long {
		return
	}
	measured := fmt.Sprintf("Last run: %s, %d processors (%s/%s), %s.", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, strings.Replace(runtime.Version(), "go", "Go ", 1))
	content = line.ReplaceAllLiteral(content, []byte(row))
	content = regexp.MustCompile(`(?m)^Last run: .*$`).ReplaceAllLiteral(content, []byte(measured))
	if err := os.WriteFile(page, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
