package archtest

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"testing"
)

// Every test and every script of TestScripts that docs/security.md names exists.
func TestSecurityNamesTests(t *testing.T) {
	document, err := os.ReadFile(path.Join(root, "docs/security.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := make(map[string]bool)
	for _, f := range handWritten(t) {
		for _, declaration := range f.syntax.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && f.test && function.Recv == nil {
				tests[function.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)[^`]*)`").FindAllSubmatch(document, -1)
	if len(named) == 0 {
		t.Error("docs/security.md names no test")
	}
	for _, name := range named {
		if !tests[string(name[1])] {
			t.Errorf("docs/security.md names %s, which does not exist", name[1])
		}
	}
	for _, name := range regexp.MustCompile("`([a-z_]+\\.txt)`").FindAllSubmatch(document, -1) {
		if _, err := os.Stat(path.Join(root, "cmd/sesame/testdata", string(name[1]))); err != nil {
			t.Errorf("docs/security.md names a script: %v", err)
		}
	}
}
