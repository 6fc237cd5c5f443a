// Package typescript_test tests the npm package: it is built like for npm, used by a program
// against a running server, and packed.
package typescript_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	databasetest.EachLong(t, func(t *testing.T, engine databasetest.Engine) {
		for _, file := range []struct {
			name, test string
			settings   []string
		}{
			{"session", "all operations", []string{"SESAME_ACCESS_TOKEN_TTL=10s"}},
			{"account", "the life of an account", []string{"SESAME_ACCESS_TOKEN_TTL=1h"}}, // no refresh is due
			{"factors", "the life of a second factor", []string{
				"SESAME_ACCESS_TOKEN_TTL=1h", "SESAME_EMAIL_VERIFICATION=off", "SESAME_THROTTLE=off",
			}},
		} {
			t.Run(file.name, func(t *testing.T) {
				server := processtest.New(t, engine, file.settings...)
				server.Start(t)
				environment := []string{
					"SESAME_TEST_SERVER=http://" + server.API,
					"SESAME_TEST_MAIL=" + filepath.Join(server.Folder, "sesame-data", "mail"),
				}
				output := processtest.Program(t, folder, environment,
					"node", "--test", "--test-reporter=tap", "build/test/"+file.name+".test.js")
				if !strings.Contains(output, "\n# skipped 0\n") ||
					!strings.Contains(output, "# Subtest: "+file.test+"\n") {
					t.Errorf("not every test ran:\n%s", output)
				}
			})
		}
	})
}

func TestPublishedFiles(t *testing.T) {
	folder := processtest.TypeScriptPackage(t, "../..")
	output := processtest.Program(t, folder, nil, "npm", "pack", "--dry-run", "--ignore-scripts")
	for _, file := range []string{
		"dist/index.js", "dist/index.d.ts", "dist/openapi.d.ts", "dist/session.js", "LICENSE", "README.md",
	} {
		if !strings.Contains(output, " "+file+"\n") {
			t.Errorf("npm would not publish %s:\n%s", file, output)
		}
	}
	for _, other := range []string{"src/", "test/", "examples/", "node_modules/", "tsconfig", ".mjs"} {
		if strings.Contains(output, other) {
			t.Errorf("npm would publish %s:\n%s", other, output)
		}
	}
	processtest.Program(t, folder, nil, "node", "node_modules/publint/src/cli.js", "--strict")
}

const program = `
import { Problem, Session, type SessionEvent } from "@sesame-auth/client";

const session = new Session({ server: "%s" });
const types: SessionEvent["type"][] = [];
const stop: () => void = session.onChange(({ type }) => types.push(type));
const before: boolean = session.isLoggedIn;
await session.login("%s", "%s");
const { name } = await session.authenticate();
console.log(before, session.isLoggedIn, name, types.join());
stop();
// @ts-expect-error the type is one of three
types.push("logged-up");
console.log(new Problem(new Response(), undefined).code satisfies string | undefined);
`

// The parts of React and Vue that the README uses.
const frameworks = `
declare module "react" {
	export function useSyncExternalStore<T>(
		subscribe: (changed: () => void) => () => void, snapshot: () => T, onServer?: () => T): T;
}
declare module "vue" {
	export function ref<T>(value: T): { value: T };
	export function onScopeDispose(run: () => void): void;
}
`

// A project installs the package, from the file that would be published or from a clone. It checks
// its types and the examples of the README, and logs in.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, block := range regexp.MustCompile("(?s)```ts\n(.*?)```").FindAllSubmatch(readme, -1) {
		examples.Write(block[1])
	}
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	for from, prepare := range map[string]func(folder string) (spec string){
		"package": func(folder string) string {
			target := t.TempDir()
			processtest.Program(t, folder, nil, "npm", "pack", "--pack-destination", target)
			packed, err := filepath.Glob(filepath.Join(target, "*.tgz"))
			if err != nil || len(packed) != 1 {
				t.Fatalf("npm packed %q: %v", packed, err)
			}
			return packed[0]
		},
		"clone": func(folder string) string { // nothing is built or installed in it
			for _, built := range []string{"node_modules", "dist", "LICENSE"} {
				if err := os.RemoveAll(filepath.Join(folder, built)); err != nil {
					t.Fatal(err)
				}
			}
			return folder
		},
	} {
		t.Run(from, func(t *testing.T) {
			spec := prepare(processtest.TypeScriptPackage(t, "../.."))
			project := t.TempDir()
			for name, content := range map[string]string{
				"package.json": `{"type":"module","private":true}`,
				"main.ts":      fmt.Sprintf(program, "http://"+server.API, processtest.Email, processtest.Password),
				"readme.ts":    examples.String(), "frameworks.d.ts": frameworks,
			} {
				if err := os.WriteFile(filepath.Join(project, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			processtest.Program(t, project, nil, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", spec)
			compiler, err := filepath.Abs("node_modules/typescript/bin/tsc")
			if err != nil {
				t.Fatal(err)
			}
			for _, resolution := range [][]string{
				{"--module", "esnext", "--moduleResolution", "bundler", "--noEmit"},
				{"--module", "node16", "--moduleResolution", "node16"},
			} {
				arguments := []string{
					compiler, "--strict", "--target", "es2022", "--lib", "es2022,dom,dom.iterable",
					"main.ts", "readme.ts", "frameworks.d.ts",
				}
				processtest.Program(t, project, nil, "node", append(arguments, resolution...)...)
			}
			if output := processtest.Program(t, project, nil, "node", "main.js"); output !=
				"false true Ada logged-in\nundefined\n" {
				t.Errorf("the program prints %q", output)
			}
		})
	}
}
