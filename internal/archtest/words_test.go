package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unusualWords are words that have a usual one: see the table in CONTRIBUTING.md.
var unusualWords = regexp.MustCompile(`(?i)\b(whoever|nobody's|faults?|tells?|told|beside|in hand|once more|to the letter|comes? back|felt|mails|the contract's)\b`)

// Texts for people use the usual words: the OpenAPI document, documentation, pages, emails and the texts of programs.
func TestWords(t *testing.T) {
	var documents []string
	for _, pattern := range []string{
		"*.md", "openapi.yaml", "docs/*.md", "client/typescript/README.md", "internal/web/pages/*", "internal/mail/templates/*",
	} {
		found, err := filepath.Glob(path.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		documents = append(documents, found...)
	}
	for _, name := range documents {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(content)
		if path.Base(name) == "CONTRIBUTING.md" { // which lists the words
			text = regexp.MustCompile(`(?s)\n## Words\n.*?\n## `).ReplaceAllString(text, "")
		}
		for _, word := range unusualWords.FindAllString(text, -1) {
			t.Errorf("%s: %q", strings.TrimPrefix(name, root+"/"), word)
		}
	}
	for _, f := range handWritten(t) {
		if f.test {
			continue
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			literal, ok := node.(*ast.BasicLit)
			if ok && literal.Kind == token.STRING {
				for _, word := range unusualWords.FindAllString(literal.Value, -1) {
					t.Errorf("%s: %q in %s", f.path, word, literal.Value)
				}
			}
			return true
		})
	}
}
