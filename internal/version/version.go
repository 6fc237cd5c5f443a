// Package version says which version of Sesame this program is.
package version

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// The linker sets these variables in released programs. Without it, what the Go command knows is
// used: the module's version, and the commit of the repository in which the program was built.
var version, commit, date string

// Build describes how this program was built. What is unknown is empty, except for Version.
type Build struct {
	Version string // without a leading v; "devel" between releases
	Commit  string // the hash; with "+dirty" if files were changed
	Date    string // of the commit, RFC 3339 in UTC
	Go      string // the toolchain's version
}

// Current returns the Build of this program.
func Current() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) Build {
	settings := make(map[string]string)
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	b := Build{Version: info.Main.Version, Go: info.GoVersion}
	b.Commit, b.Date = settings["vcs.revision"], settings["vcs.time"]
	if settings["vcs.modified"] == "true" {
		b.Commit += "+dirty"
	}
	if version != "" {
		b.Version, b.Commit, b.Date = version, commit, date
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	b.Version = strings.TrimPrefix(b.Version, "v")
	return b
}

// String returns the build in one line.
func (b Build) String() string {
	text := "sesame " + b.Version
	if b.Commit != "" {
		text += ", commit " + b.Commit
	}
	if date, err := time.Parse(time.RFC3339, b.Date); err == nil {
		text += " of " + date.UTC().Format(time.DateOnly)
	}
	return fmt.Sprintf("%s, built with %s", text, b.Go)
}
