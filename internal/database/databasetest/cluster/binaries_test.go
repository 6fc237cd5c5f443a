package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestFindBinariesPrefersTheProject(t *testing.T) {
	fakeServer(t, "")
	project, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	below := filepath.Join(project, "internal", "auth")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	got, err := findBinaries()
	if want := filepath.Join(project, ".tools", "postgres", "bin"); got != want || err != nil {
		t.Errorf("findBinaries() = %q, %v, want %q", got, err, want)
	}
}

func TestNewestFirst(t *testing.T) {
	got := newestFirst([]string{"/p/9.6/bin", "/p/17/bin", "/p/old/bin", "/p/100/bin"})
	if want := []string{"/p/100/bin", "/p/17/bin", "/p/9.6/bin", "/p/old/bin"}; !slices.Equal(got, want) {
		t.Errorf("newestFirst: %q, want %q", got, want)
	}
}
