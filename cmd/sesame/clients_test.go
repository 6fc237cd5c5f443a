package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// The blocks of docs/getting-started.md run as they are.
func TestFirstClients(t *testing.T) {
	p := newProcess(t, databasetest.SQLite)
	p.start(t)
	source := func(language, fence string) string {
		code, _, _ := strings.Cut(strings.TrimPrefix(block(t, "docs/getting-started.md", "<!-- "+language+": a test runs this block as it is -->"), "```"+fence+"\n"), "```")
		return strings.Replace(code, "http://127.0.0.1:8080", "http://"+p.api, 1)
	}
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	said := p.shell(t, source("curl", "sh"))
	for _, words := range []string{"User registered successfully", "Welcome, Ada", "Logout successful"} {
		if !strings.Contains(said, words) {
			t.Errorf("curl does not say %q: %s", words, said)
		}
	}

	program := filepath.Join(t.TempDir(), "main.go")
	write(program, source("go", "go"))
	if said := inFolder(t, "../..", nil, "go", "run", program); said != "logged in as Ada Lovelace\n" {
		t.Errorf("Go says %q", said)
	}

	folder := typescript(t)
	write(filepath.Join(folder, "examples", "first.ts"), source("typescript", "ts"))
	inFolder(t, folder, nil, "node", "node_modules/typescript/bin/tsc", "--project", "test")
	if said := inFolder(t, folder, nil, "node", "build/examples/first.js"); said != "logged in as Ada Lovelace\n" {
		t.Errorf("TypeScript says %q", said)
	}
}
