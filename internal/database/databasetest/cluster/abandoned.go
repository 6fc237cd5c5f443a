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

// removeAbandoned deletes the folders in parent of clusters whose process had no chance to
// Stop them: a test that panicked or was killed leaves 40 MB each time. It tries
// its best; what it cannot delete belongs to somebody else.
func removeAbandoned(parent string) {
	folders, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, folder := range folders {
		info, err := os.Stat(folder)
		// A young folder may be one that is being started.
		if err == nil && time.Since(info.ModTime()) > time.Hour && !running(folder) {
			_ = os.RemoveAll(folder)
		}
	}
}

// running reports whether the server of a folder lives. When in doubt it does.
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
