package processtest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// UseCheapHashes makes the server hash passwords at a very low cost, like those of servertest. Its
// program is built from the same source, except for this cost.
func (s *Server) UseCheapHashes(t testing.TB) {
	t.Helper()
	var err error
	if s.Binary, err = buildCheap(); err != nil {
		t.Fatal(err)
	}
}

var buildCheap = sync.OnceValues(func() (string, error) {
	folder, err := exec.Command("go", "list", "-f", "{{.Dir}}", module+"/internal/password").Output()
	if err != nil {
		return "", fmt.Errorf("find the package password: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(folder)), "argon2.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	const cost, cheap = "DefaultParameters = Parameters{MemoryKiB: 19456, Passes: 2, Parallelism: 1}",
		"DefaultParameters = WeakParameters"
	if strings.Count(string(source), cost) != 1 {
		return "", fmt.Errorf("%s does not contain %q", original, cost)
	}
	replacement := filepath.Join(buildFolder, "argon2.go")
	overlay := filepath.Join(buildFolder, "overlay.json")
	content, err := json.Marshal(map[string]map[string]string{"Replace": {original: replacement}})
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(buildFolder, 0o700); err != nil {
		return "", err
	}
	for path, content := range map[string]string{
		replacement: strings.Replace(string(source), cost, cheap, 1), overlay: string(content),
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return buildTo("sesame-cheap-hashes", "-overlay", overlay)
})
