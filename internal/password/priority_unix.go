//go:build unix

package password

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

// lowestPriority is a niceness. A process with it gets all of an idle processor, and about 1.5 % of
// one that other processes use.
const lowestPriority = 19

// lowerPriority gives this process the lowest priority, in a session of its own. If it cannot, the
// process keeps its priority: a process that a shell has started does not change that shell's.
func lowerPriority() {
	if _, err := syscall.Setsid(); err != nil {
		return
	}
	// The new session is a process group of this process alone. Its threads have priorities of their
	// own on Linux, and this sets all of them. A thread that was being created meanwhile may have
	// copied the old one, so it is set again.
	for range 2 {
		_ = syscall.Setpriority(syscall.PRIO_PGRP, 0, lowestPriority)
	}
	go lowerAutogroup()
}

// lowerAutogroup gives this session the lowest priority, too. Linux may divide a processor between
// sessions first (sched(7), autogroup). Then the niceness counts only within the session, and
// hashing would slow down PostgreSQL.
func lowerAutogroup() {
	niceness := []byte(strconv.Itoa(lowestPriority))
	for range 100 {
		err := os.WriteFile("/proc/self/autogroup", niceness, 0)
		if !errors.Is(err, syscall.EAGAIN) {
			return // done, or there are no autogroups
		}
		time.Sleep(100 * time.Millisecond) // the kernel allows one such change at a time
	}
}
