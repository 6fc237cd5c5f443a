package bench

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time that the process has used, without its children.
func (p *process) cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var spent unix.Timespec
	const processClock = 2                               // CPUCLOCK_SCHED
	clock := int32(^p.cmd.Process.Pid)<<3 | processClock // clock_getcpuclockid(3)
	if err := unix.ClockGettime(clock, &spent); err != nil {
		b.Fatal(err)
	}
	return time.Duration(spent.Nano())
}
