package bench

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time that the process has used, without its children.
func (p *process) cpuTime(b *testing.B) time.Duration {
	b.Helper()
	spent, err := cpuTimeOf(p.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return spent
}

// cpuTimeOf returns the processor time that a process has used, without its children.
func cpuTimeOf(pid int) (time.Duration, error) {
	var spent unix.Timespec
	const processClock = 2                 // CPUCLOCK_SCHED
	clock := int32(^pid)<<3 | processClock // clock_getcpuclockid(3)
	err := unix.ClockGettime(clock, &spent)
	return time.Duration(spent.Nano()), err
}
