//go:build !linux

package cluster

import (
	"os"
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
