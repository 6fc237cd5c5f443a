//go:build unix

package server

import (
	"math"
	"syscall"
)

// maxFiles returns how many files the process may open. The Go runtime has raised the limit as far
// as the process may.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt // there is no limit that the process could check
	}
	return int(min(uint64(limit.Cur), math.MaxInt)) //nolint:unconvert // the type depends on the system
}
