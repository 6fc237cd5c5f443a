package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const folderPrefix = "sesame-postgres-"

// removeAbandoned deletes the folders in parent of clusters that were never stopped, because their
// test panicked or was killed. Each takes 40 MB. It ignores errors: a folder may belong to another
// user.
func removeAbandoned(parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, folder := range folders {
		info, err := os.Stat(folder)
		// The server of a new folder may still be starting.
		if err == nil && time.Since(info.ModTime()) > time.Hour && !running(folder) {
			_ = os.RemoveAll(folder)
		}
	}
}

// running reports whether the server of a folder is running. If it cannot be determined, running
// returns true.
func running(folder string) bool {
	content, err := os.ReadFile(filepath.Join(folder, "data", "postmaster.pid"))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return true
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	return !errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
