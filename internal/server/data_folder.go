package server

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
)

// dataFolder is the data folder of a server with SQLite.
type dataFolder struct {
	path   string
	handle *os.File // keeps the lock
}

// openDataFolder creates the data folder if it does not exist. It logs a warning if another server
// uses it.
func openDataFolder(path string, log *slog.Logger) (*dataFolder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	handle, err := os.Open(path) //nolint:gosec // the operator configured the path
	if err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	if lockShared(handle) {
		log.Warn("another server uses this data folder; that is supported on one machine, "+
			"with a local file system and the same settings", "folder", path)
	}
	return &dataFolder{path, handle}, nil
}

// warnIfExposed logs a warning for each file that Exposed returns.
func (f *dataFolder) warnIfExposed(log *slog.Logger) {
	for _, file := range Exposed(f.path) {
		log.Warn("other users of this machine have access to a file that only the server should read; "+
			"change its mode with chmod go=", "path", file.Path, "mode", file.Mode)
	}
}

// ExposedFile is a file to which other users of the machine have access.
type ExposedFile struct{ Path, Mode string }

// Exposed returns the data folder, and each file in it with users or keys, to which other users of
// the machine have access.
func Exposed(dataDir string) (exposed []ExposedFile) {
	if runtime.GOOS == "windows" {
		return nil // has no such modes
	}
	for _, path := range DataFiles(dataDir) {
		info, err := os.Stat(path)
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			exposed = append(exposed, ExposedFile{path, fmt.Sprintf("%04o", info.Mode().Perm())})
		}
	}
	return exposed
}

// DataFiles returns the paths of the data folder, and of the files in it with users or keys, which
// may not exist.
func DataFiles(dataDir string) (paths []string) {
	for _, name := range []string{"", "secret", "sesame.db", "sesame.db-wal", "sesame.db-shm", "mail"} {
		paths = append(paths, filepath.Join(dataDir, name))
	}
	return paths
}

func (f *dataFolder) close() error { return f.handle.Close() }
