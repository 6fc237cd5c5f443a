package version

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	defer func() { version, commit, date = "", "", "" }()
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for _, test := range []struct {
		name                  string
		version, commit, date string // set by the linker
		info                  debug.BuildInfo
		want                  string
	}{
		{
			name: "a release", version: "0.1.0", commit: "abc", date: "2026-11-27T23:30:00-02:00",
			info: debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v9.9.9"}, Settings: []debug.BuildSetting{
				setting("vcs.revision", "def"), setting("vcs.modified", "true"),
			}},
			want: "sesame 0.1.0, commit abc of 2026-11-28, built with go1.26.8",
		},
		{
			name: "go install", info: debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "v0.1.0"}},
			want: "sesame 0.1.0, built with go1.26.8",
		},
		{
			name: "a repository",
			info: debug.BuildInfo{GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
				setting("vcs.revision", "def"), setting("vcs.time", "2026-11-27T10:00:00Z"), setting("vcs.modified", "false"),
			}},
			want: "sesame devel, commit def of 2026-11-27, built with go1.26.8",
		},
		{
			name: "changed files",
			info: debug.BuildInfo{GoVersion: "go1.26.8", Settings: []debug.BuildSetting{
				setting("vcs.revision", "def"), setting("vcs.modified", "true"),
			}},
			want: "sesame devel, commit def+dirty, built with go1.26.8",
		},
		{
			name: "no information", info: debug.BuildInfo{GoVersion: "go1.26.8"},
			want: "sesame devel, built with go1.26.8",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			version, commit, date = test.version, test.commit, test.date
			if got := describe(&test.info).String(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
