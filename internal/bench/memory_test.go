package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// memoryMiB returns the resident memory of the process, now (VmRSS) or at its maximum (VmHWM). It
// returns 0 on other systems than Linux.
func (p *process) memoryMiB(b *testing.B, measure string) float64 {
	b.Helper()
	return procMiB(b, p.cmd.Process.Pid, "status", measure)
}

// familyMemory is the memory of a server and its children, in MiB. Each process counts its share of
// common pages (Linux's proportional set size).
type familyMemory struct {
	child float64 // of the largest child
	total float64
}

// familyMemory returns the current memory of the process and its children. It is 0 on other systems
// than Linux.
func (p *process) familyMemory(b *testing.B) familyMemory {
	b.Helper()
	pid := p.cmd.Process.Pid
	m := familyMemory{total: procMiB(b, pid, "smaps_rollup", "Pss")}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, task := range tasks {
		content, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for field := range strings.FieldsSeq(string(content)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err != nil {
				b.Fatal(err)
			}
			memory := procMiB(b, child, "smaps_rollup", "Pss")
			m.child, m.total = max(m.child, memory), m.total+memory
		}
	}
	return m
}

// procMiB reads a measure from a file of /proc/PID.
func procMiB(b *testing.B, pid int, file, measure string) float64 {
	b.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		var kibibytes float64
		if _, err := fmt.Sscanf(lines.Text(), measure+": %f kB", &kibibytes); err == nil {
			return kibibytes / 1024
		}
	}
	b.Fatalf("%s of the process has no %s", file, measure)
	return 0
}
