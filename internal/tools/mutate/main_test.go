package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/security.md has the number of guards.
func TestNumberOfGuards(t *testing.T) {
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("removes %d guards", len(guards)); !strings.Contains(string(page), want) {
		t.Errorf("docs/security.md does not contain %q", want)
	}
}

// Every guard is in its file, the file can be parsed without it, and its tests exist.
func TestGuards(t *testing.T) {
	t.Chdir("../../..")
	names := make(map[string]bool)
	for _, g := range guards {
		mutant, err := g.without()
		if err == nil {
			_, err = parser.ParseFile(token.NewFileSet(), g.file, mutant, 0)
		}
		if err != nil {
			t.Errorf("%s: %v", g.what, err)
		}
		if names[g.what] {
			t.Errorf("two guards have the description %q", g.what)
		}
		names[g.what] = true
		tests, err := os.ReadDir(g.pkg)
		if err != nil {
			t.Errorf("%s: %v", g.what, err)
		}
		for name := range strings.SplitSeq(g.run, "|") {
			found := false
			declaration := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
			for _, entry := range tests {
				if !strings.HasSuffix(entry.Name(), "_test.go") {
					continue
				}
				content, err := os.ReadFile(g.pkg + "/" + entry.Name())
				if err != nil {
					t.Fatal(err)
				}
				found = found || declaration.Match(content)
			}
			if !found {
				t.Errorf("%s: there is no %s in %s", g.what, name, g.pkg)
			}
		}
	}
}
