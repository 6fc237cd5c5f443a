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
var unusualWords = regexp.MustCompile(`(?i)\b(whoever|nobody's|faults?|tells?|told|beside|in hand|once more|` +
	`to the letter|comes? back|felt|mails|the contract's)\b`)

// names are names that contain one of these words.
var names = regexp.MustCompile(`(make |internal/|Package )faults\b`)

// The OpenAPI document, the documentation, the pages, the emails, and the comments and strings of
// the programs use the usual words.
func TestWords(t *testing.T) {
	var documents []string
	for _, pattern := range []string{
		"*.md", "openapi.yaml", "docs/*.md",
		"client/typescript/README.md", "client/typescript/*/*.ts",
		"internal/web/pages/*", "internal/mail/templates/*",
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
		for _, word := range unusualWords.FindAllString(names.ReplaceAllString(text, ""), -1) {
			t.Errorf("%s: %q", strings.TrimPrefix(name, root+"/"), word)
		}
	}
	for _, f := range handWritten(t) {
		if f.path == "internal/archtest/words_test.go" { // which lists the words
			continue
		}
		var texts []string
		for _, group := range f.syntax.Comments {
			texts = append(texts, group.Text())
		}
		ast.Inspect(f.syntax, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				texts = append(texts, literal.Value)
			}
			return true
		})
		for _, text := range texts {
			for _, word := range unusualWords.FindAllString(names.ReplaceAllString(text, ""), -1) {
				t.Errorf("%s: %q in %s", f.path, word, text)
			}
		}
	}
}
