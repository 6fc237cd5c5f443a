//go:build !linux

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// A user is the user that the server runs as.
type user struct {
	name     string
	uid, gid int
}

// serverUser returns nil: the server runs as the current user. PostgreSQL returns an error if that
// is root.
func serverUser() (*user, error) { return nil, nil }

// processAttributes returns nil: child processes end by Stop, or with the terminal.
func processAttributes(*user) *syscall.SysProcAttr { return nil }

// tempDir returns the folder in which clusters create theirs.
func tempDir() string { return os.TempDir() }

// children returns the ids of the processes that a process has started.
func children(parent int) ([]int, error) {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, err
	}
	var ids []int
	for line := range strings.Lines(string(output)) {
		var id, of int
		if _, err := fmt.Sscan(line, &id, &of); err != nil {
			return nil, err
		}
		if of == parent {
			ids = append(ids, id)
		}
	}
	return ids, nil
}
