package processtest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Program runs a program in a folder and returns what it prints. The environment adds to that of
// the test.
func Program(t *testing.T, folder string, environment []string, name string, args ...string) (output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	content, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, content)
	}
	return string(content)
}

// TypeScriptPackage builds the npm package in a copy, so that tests at the same time do not disturb
// each other, and returns the folder of the package. The root is the folder of the repository.
func TypeScriptPackage(t *testing.T, root string) (folder string) {
	t.Helper()
	installed, err := filepath.Abs(filepath.Join(root, "client/typescript/node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(installed); err != nil {
		t.Fatal("client/typescript/node_modules is missing: `make test` installs it")
	}
	repository := t.TempDir()
	for _, part := range []string{
		"client/typescript/src", "client/typescript/test", "client/typescript/examples", "gen/typescript",
	} {
		if err := os.CopyFS(filepath.Join(repository, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{
		"LICENSE", "client/typescript/package.json", "client/typescript/package-lock.json",
		"client/typescript/build.mjs", "client/typescript/tsconfig.json", "client/typescript/README.md",
	} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repository, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder = filepath.Join(repository, "client", "typescript")
	if err := os.Symlink(installed, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	Program(t, folder, nil, "npm", "run", "build")
	return folder
}
