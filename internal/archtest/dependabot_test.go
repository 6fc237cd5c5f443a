package archtest

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Dependabot updates every Go module and every npm package of the repository.
func TestDependabot(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, ".github/dependabot.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
		}
	}
	if err := yaml.Unmarshal(content, &config); err != nil {
		t.Fatal(err)
	}
	updated := make(map[string][]string)
	for _, u := range config.Updates {
		updated[u.Ecosystem] = append(updated[u.Ecosystem], append(u.Directories, u.Directory)...)
	}
	for ecosystem, file := range map[string]string{"gomod": "go.mod", "npm": "package.json"} {
		list := exec.CommandContext(t.Context(), "git", "ls-files", file, "*/"+file)
		list.Dir = root
		output, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for name := range strings.FieldsSeq(string(output)) {
			found = append(found, path.Clean("/"+path.Dir(name)))
		}
		listed := slices.DeleteFunc(updated[ecosystem], func(folder string) bool { return folder == "" })
		slices.Sort(found)
		slices.Sort(listed)
		if !slices.Equal(found, listed) {
			t.Errorf("%s: dependabot.yml lists %q, but there are %q", ecosystem, listed, found)
		}
	}
}
