package databasetest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// Goroutines returns the number of goroutines, without those of a Proxy, and without those that pgx
// starts when a write takes long: they wait for the next data of their connection, also if it is idle.
func Goroutines() int { return len(stacks()) }

// RequireGoroutines waits until no more goroutines run than before, and fails the test if that
// takes longer than 15 seconds.
func RequireGoroutines(t testing.TB, before int) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for Goroutines() > before {
		if time.Now().After(deadline) {
			left := stacks()
			t.Fatalf("%d goroutines are left, %d ran before:\n%s", len(left), before, strings.Join(left, "\n\n"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func stacks() []string {
	buffer := make([]byte, 8<<20)
	var found []string
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if !strings.Contains(stack, "databasetest.(*Proxy)") && !strings.Contains(stack, "bgreader.(*BGReader).bgRead") {
			found = append(found, stack)
		}
	}
	return found
}
