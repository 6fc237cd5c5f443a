// Package typescript_test tests the npm package: it is built like for npm, used by a program
// against a running server, and packed.
package typescript_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m) }

// The client is used for every operation, on a running server.
func TestClient(t *testing.T) {
	folder := processtest.TypeScriptPackage(t, "../..")
	processtest.Program(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_ACCESS_TOKEN_TTL=10s")
		server.Start(t)
		environment := []string{
			"SESAME_TEST_SERVER=http://" + server.API,
			"SESAME_TEST_MAIL=" + filepath.Join(server.Folder, "sesame-data", "mail"),
		}
		output := processtest.Program(t, folder, environment,
			"node", "--test", "--test-reporter=tap", "build/test/session.test.js")
		if !strings.Contains(output, "\n# skipped 0\n") || !strings.Contains(output, "# Subtest: all operations\n") {
			t.Errorf("not every test ran:\n%s", output)
		}
	})
}

func TestPublishedFiles(t *testing.T) {
	output := processtest.Program(t, processtest.TypeScriptPackage(t, "../.."), nil, "npm", "pack", "--dry-run")
	for _, file := range []string{
		"dist/index.js", "dist/index.d.ts", "dist/openapi.d.ts", "dist/session.js", "dist/LICENSE", "README.md",
	} {
		if !strings.Contains(output, " "+file+"\n") {
			t.Errorf("npm would not publish %s:\n%s", file, output)
		}
	}
	for _, other := range []string{"src/", "test/", "examples/", "node_modules/", "tsconfig"} {
		if strings.Contains(output, other) {
			t.Errorf("npm would publish %s:\n%s", other, output)
		}
	}
}
