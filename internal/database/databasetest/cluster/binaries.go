package cluster

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

var errNoBinaries = errors.New("there is no PostgreSQL server on this machine (initdb and postgres): " +
	"run .ci/setup, which installs one for the tests, or set SESAME_TEST_POSTGRES_URL to a server you have")

// findBinaries returns the folder that contains initdb and postgres. It looks in the project, where
// .ci/setup installs them; then for the newest version installed by Debian; then in PATH; then in
// the folder that pg_config prints. Keep it consistent with .ci/setup, which looks in the same
// places.
func findBinaries() (string, error) {
	var folders []string
	if root, ok := projectRoot(); ok {
		folders = append(folders, filepath.Join(root, ".tools", "postgres", "bin"))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // fails only if the pattern is malformed
	folders = append(folders, newestFirst(debian)...)
	if path, err := exec.LookPath("postgres"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	if output, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		folders = append(folders, strings.TrimSpace(string(output)))
	}
	for _, folder := range folders {
		if isExecutable(folder, "initdb") && isExecutable(folder, "postgres") {
			return folder, nil
		}
	}
	return "", errNoBinaries
}

// newestFirst sorts folders named …/VERSION/bin.
func newestFirst(folders []string) []string {
	version := func(folder string) float64 {
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(folder)), 64)
		if err != nil {
			return 0 // not a version: sorted last
		}
		return v
	}
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return folders
}

// projectRoot returns the folder of go.mod: the current folder, which in a test is the folder of
// the package, or the nearest one above it.
func projectRoot() (string, bool) {
	folder, err := os.Getwd()
	if err != nil {
		return "", false
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, true
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", false
		}
		folder = parent
	}
}

func isExecutable(folder, name string) bool {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	_, err := exec.LookPath(filepath.Join(folder, name))
	return err == nil
}
