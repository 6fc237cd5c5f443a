// Package docs_test runs the examples of the documentation.
package docs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

func TestMain(m *testing.M) { processtest.Main(m) }

// example returns the code block that follows a mark in a document, with the URL of a server in
// place of the documented one.
func example(t *testing.T, server *processtest.Server, document, mark string) string {
	t.Helper()
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(content), "<!-- "+mark+": a test runs this block as it is -->\n```")
	if !found {
		t.Fatalf("%s has no example %q", document, mark)
	}
	_, code, _ := strings.Cut(rest, "\n") // the language
	code, _, _ = strings.Cut(code, "```")
	return strings.ReplaceAll(code, "http://127.0.0.1:8080", "http://"+server.API)
}

// The tour of the README and the reset of docs/getting-started.md run as they are, the tour twice.
func TestTour(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		tour := example(t, server, "../README.md", "tour")
		for _, registered := range []string{"User registered successfully", "email_taken"} {
			want := []string{registered, "Welcome, Ada Lovelace", "Logout successful"}
			if got := messages(t, server.MustShell(t, tour)); !slices.Equal(got, want) {
				t.Errorf("the tour prints %q, want %q", got, want)
			}
		}
		failing := strings.Replace(tour, "/auth/login", "/auth/nowhere", 1)
		if output, err := server.Shell(t, failing); err == nil || !strings.Contains(output, "This step failed.") {
			t.Errorf("a failed step does not stop the tour: %v\n%s", err, output)
		}
		want := []string{
			"If the email has an account, we have sent it a link to reset the password",
			"Password reset successful",
		}
		reset := example(t, server, "getting-started.md", "reset")
		if got := messages(t, server.MustShell(t, reset)); !slices.Equal(got, want) {
			t.Errorf("the reset prints %q, want %q", got, want)
		}
		output, err := server.Stop(t, syscall.SIGTERM)
		if err != nil {
			t.Errorf("on SIGTERM: %v", err)
		}
		for line := range strings.Lines(output) {
			if !strings.HasPrefix(line, "{") {
				continue // the banner, which contains the password of the example
			}
			for _, secret := range []string{"horse battery", "even better horse", "eyJ", "#token="} {
				if strings.Contains(line, secret) {
					t.Errorf("the log contains %q", secret)
				}
			}
		}
	})
}

// The examples of docs/clients.md compile, and log in.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	server.Login(t)
	account := fmt.Sprintf("%q, %q", processtest.Email, processtest.Password)
	code := func(marks ...string) (code string) {
		for _, mark := range marks {
			code += example(t, server, "clients.md", mark)
		}
		return code
	}

	program := `package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sesame-auth/sesame/client"
)

func ask(prompt string) string { return prompt }

func main() {
	session, err := newSession()
	fmt.Println(err, logIn(context.Background(), session, ` + account + `))
}
` + code("second factor in Go", "sensitive operations in Go")
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	if output := processtest.Program(t, "..", nil, "go", "run", file); output != "<nil> <nil>\n" {
		t.Errorf("Go prints %q", output)
	}

	program = `import { Problem, Session } from "@sesame-auth/client";

const ask = async (prompt: string) => prompt;
` + code("second factor in TypeScript", "sensitive operations in TypeScript", "passkeys in TypeScript") + `
await logIn(session, ` + account + `);
for (const call of [() => addPasskey(session), async () => offerPasskeys(session)()]) {
  await call().catch((reason: unknown) => console.log((reason as Error).name));
}
console.log(session.isLoggedIn);
`
	folder := processtest.TypeScriptPackage(t, "..")
	if err := os.WriteFile(filepath.Join(folder, "examples", "clients.ts"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	processtest.Program(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	output := processtest.Program(t, folder, nil, "node", "build/examples/clients.js")
	if output != "NotSupportedError\ntrue\n" {
		t.Errorf("TypeScript prints %q", output)
	}
}

// messages returns the message or the code of each JSON object in the output of a script.
func messages(t *testing.T, output string) (messages []string) {
	t.Helper()
	for line := range strings.Lines(output) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var body struct{ Message, Code string }
		if err := json.Unmarshal([]byte(line), &body); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		messages = append(messages, body.Message+body.Code)
	}
	return messages
}

// The first client of each stack in docs/getting-started.md runs as it is.
func TestGettingStarted(t *testing.T) {
	server := processtest.New(t, databasetest.SQLite)
	server.Start(t)
	code := func(stack string) string { return example(t, server, "getting-started.md", stack) }
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	output := server.MustShell(t, code("curl"))
	for _, message := range []string{"User registered successfully", "Welcome, Ada", "Logout successful"} {
		if !strings.Contains(output, message) {
			t.Errorf("curl does not print %q: %s", message, output)
		}
	}

	program := filepath.Join(t.TempDir(), "main.go")
	write(program, code("go"))
	if output := processtest.Program(t, "..", nil, "go", "run", program); output != "logged in as Ada Lovelace\n" {
		t.Errorf("Go prints %q", output)
	}

	folder := processtest.TypeScriptPackage(t, "..")
	write(filepath.Join(folder, "examples", "first.ts"), code("typescript"))
	processtest.Program(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	output = processtest.Program(t, folder, nil, "node", "build/examples/first.js")
	if output != "logged in as Ada Lovelace\n" {
		t.Errorf("TypeScript prints %q", output)
	}
}

// The commands of docs/migrating.md run as they are, with the exports that the tests of the command
// use.
func TestMigrating(t *testing.T) {
	for mark, files := range map[string][2]string{
		"supabase": {"supabase.csv", "users.csv"}, "auth0": {"auth0.ndjson", "users.json"},
	} {
		server := processtest.New(t, databasetest.SQLite)
		server.MustRun(t, "", "migrate")
		export, err := os.ReadFile(filepath.Join("../cmd/sesame/testdata", files[0]))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(server.Folder, files[1]), export, 0o600); err != nil {
			t.Fatal(err)
		}
		environment := append(slices.Clone(server.Environment),
			"PATH="+filepath.Dir(server.Binary)+string(filepath.ListSeparator)+os.Getenv("PATH"))
		code := example(t, server, "migrating.md", mark)
		processtest.Program(t, server.Folder, environment, "bash", "-eu", "-c", code)
		users := server.MustRun(t, "", "users", "list", "--json")
		if !strings.Contains(users, `"email":"ada@example.com"`) || strings.Count(users, "\n") < 3 {
			t.Errorf("%s: the users are\n%s", mark, users)
		}
	}
}
