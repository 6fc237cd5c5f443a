//go:build !linux

package cluster

import (
	"os"
	"syscall"
)

// A user is whom the server runs as.
type user struct {
	name     string
	uid, gid int
}

// serverUser returns nil: the server runs as we do. PostgreSQL itself refuses
// root, in words.
func serverUser() (*user, error) { return nil, nil }

// processAttributes returns nil: children end by Stop, or with the terminal.
func processAttributes(*user) *syscall.SysProcAttr { return nil }

// tempDir returns the folder for clusters' folders.
func tempDir() string { return os.TempDir() }
