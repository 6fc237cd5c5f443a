package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// typescript copies the TypeScript client and what is generated for it to a folder of the test's, where it builds as
// it does for npm, and returns the folder of the package.
func typescript(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../../client/typescript")
	if err != nil {
		t.Fatal(err)
	}
	installed := filepath.Join(source, "node_modules")
	if _, err := os.Stat(installed); err != nil {
		t.Fatal("client/typescript has no node_modules: make client-modules installs them")
	}
	root := t.TempDir()
	folder := filepath.Join(root, "client", "typescript")
	for _, part := range []string{"client/typescript/src", "client/typescript/test", "client/typescript/examples", "gen/typescript"} {
		if err := os.CopyFS(filepath.Join(root, part), os.DirFS(filepath.Join("../..", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"LICENSE", "client/typescript/package.json", "client/typescript/tsconfig.json", "client/typescript/README.md"} {
		content, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(installed, filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	inFolder(t, folder, nil, "npm", "run", "build")
	return folder
}

func inFolder(t *testing.T, folder string, environment []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, output)
	}
	return string(output)
}

// The TypeScript client lives its whole life against the real server.
func TestTypeScriptClient(t *testing.T) {
	folder := typescript(t)
	inFolder(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine, "SESAME_ACCESS_TOKEN_TTL=10s")
		p.start(t)
		said := inFolder(t, folder, []string{"SESAME_TEST_SERVER=http://" + p.api, "SESAME_TEST_MAIL=" + filepath.Join(p.folder, "sesame-data", "mail")},
			"node", "--test", "--test-reporter=tap", "build/test/session.test.js")
		if !strings.Contains(said, "\n# skipped 0\n") || !strings.Contains(said, "# Subtest: the whole life\n") {
			t.Errorf("not every test ran:\n%s", said)
		}
	})
}

// What npm would publish is what the package promises, and nothing beside.
func TestTypeScriptPackage(t *testing.T) {
	folder := typescript(t)
	said := inFolder(t, folder, nil, "npm", "pack", "--dry-run")
	for _, file := range []string{"dist/index.js", "dist/index.d.ts", "dist/openapi.d.ts", "dist/session.js", "dist/LICENSE", "README.md"} {
		if !strings.Contains(said, " "+file+"\n") {
			t.Errorf("%s is not in the package:\n%s", file, said)
		}
	}
	for _, other := range []string{"src/", "test/", "examples/", "node_modules/", "tsconfig"} {
		if strings.Contains(said, other) {
			t.Errorf("%s is in the package:\n%s", other, said)
		}
	}
}
