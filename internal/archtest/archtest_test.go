// Package archtest tests the rules of the code base that a compiler cannot check: which package may
// import which, which files may read the environment and the clock, and how packages are named. The
// rules apply to the hand-written code of the product. Tests are exempt, and so are the packages
// that only help them: those in a folder whose name ends in test, and below internal/bench,
// internal/faults and internal/tools.
package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/sesame-auth/sesame"
	// maxLines is the maximum length of a file. Consider splitting a file of more than 250 lines.
	maxLines = 300
)

// domain lists the packages of the domain layer. They must not depend on HTTP.
var domain = []string{
	"internal/audit", "internal/auth", "internal/database", "internal/mail", "internal/password",
	"internal/signing", "internal/throttle", "internal/token",
}

// owners lists the packages that own database tables, and the one that opens the database.
var owners = []string{
	"internal/audit", "internal/auth", "internal/database", "internal/mail", "internal/signing", "internal/throttle",
}

var importRules = []struct {
	name      string
	imports   []string // packages, including those below them
	forbidden func(folder string) bool
	why       string
}{
	{
		name:      "only packages that own tables import gorm",
		imports:   []string{"gorm.io"},
		forbidden: exceptBelow(owners...),
		why:       "only the package that owns a table may access it; other packages call that package",
	},
	{
		name:      "the domain does not depend on HTTP",
		imports:   []string{"net/http", "github.com/labstack", module + "/gen"},
		forbidden: below(domain...),
		why:       "status codes, headers and JSON belong to internal/httpapi; the domain has its own values and errors",
	},
	{
		name:      "only the HTTP layer imports the generated server",
		imports:   []string{module + "/gen/api"},
		forbidden: exceptBelow("internal/httpapi"),
		why:       "the generated interface is implemented in one place, internal/httpapi",
	},
	{
		name:      "the server does not import the client",
		imports:   []string{module + "/client", module + "/gen/client"},
		forbidden: exceptBelow("client"),
		why:       "the server does not call itself, so the client would be unused code in it",
	},
}

func below(folders ...string) func(string) bool {
	return func(folder string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return isBelow(folder, f) })
	}
}

func exceptBelow(folders ...string) func(string) bool {
	allowed := below(folders...)
	return func(folder string) bool { return !allowed(folder) }
}

func isBelow(name, folder string) bool { return name == folder || strings.HasPrefix(name, folder+"/") }

func TestImports(t *testing.T) {
	files := handWritten(t)
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			for _, f := range files {
				if !f.product || !rule.forbidden(f.folder) {
					continue
				}
				for _, spec := range f.syntax.Imports {
					if imported := importPath(spec); below(rule.imports...)(imported) {
						t.Errorf("%s imports %s: %s", f.at(spec), imported, rule.why)
					}
				}
			}
		})
	}
}

// A module that imports the public client gets its dependencies, including those of its tests.
func TestPublicClientImports(t *testing.T) {
	for _, f := range handWritten(t) {
		if f.folder != "client" {
			continue
		}
		for _, spec := range f.syntax.Imports {
			imported := importPath(spec)
			domain, _, _ := strings.Cut(imported, "/")
			standard := !strings.Contains(domain, ".")
			if !standard && imported != module+"/client" && imported != module+"/gen/client" {
				t.Errorf("%s imports %s: the client needs only the standard library and the generated client; every "+
					"other module would become a dependency of its users", f.at(spec), imported)
			}
		}
	}
}

// The binary contains no package that only helps tests.
func TestPackagesOfTheBinary(t *testing.T) {
	for _, imported := range goList(t, "-deps", "./cmd/sesame") {
		folder, own := strings.CutPrefix(imported, module+"/")
		if imported == "testing" || own && helpsTests(folder) {
			t.Errorf("cmd/sesame depends on %s, which is only for tests", imported)
		}
	}
}

// Services that import package verify get its dependencies, including those of its tests.
func TestVerifyHasNoDependencies(t *testing.T) {
	notStandard := "{{if not .Standard}}{{.ImportPath}}{{end}}"
	for _, imported := range goList(t, "-deps", "-test", "-f", notStandard, "./verify") {
		if !strings.HasPrefix(imported, module+"/verify") { // the package itself, and its tests
			t.Errorf("verify depends on %s, which is not in the standard library", imported)
		}
	}
}

// goList runs go list in the root of the repository and returns the lines of its output.
func goList(t *testing.T, arguments ...string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", append([]string{"list"}, arguments...)...)
	list.Dir, list.Stderr = root, os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return strings.Split(strings.TrimSpace(string(output)), "\n")
}

// The examples import only public packages.
func TestExamples(t *testing.T) {
	for _, f := range handWritten(t) {
		if f.test || !isBelow(f.folder, "examples") {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if imported := importPath(spec); isBelow(imported, module) && imported != module+"/verify" {
				t.Errorf("%s imports %s, which a service cannot or should not import", f.at(spec), imported)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	readers := []string{"Environ", "Getenv", "LookupEnv", "ExpandEnv"}
	for _, f := range handWritten(t) {
		if !f.product || f.path == "cmd/sesame/main.go" || f.path == "cmd/sesame/config.go" {
			continue
		}
		for _, library := range []string{"os", "syscall"} {
			f.mentions(library, func(name string, at ast.Node, _ ast.Node) {
				if slices.Contains(readers, name) {
					t.Errorf("%s reads the environment with %s.%s: only cmd/sesame/config.go does, so that every setting is "+
						"listed, checked at start and can differ in a test", f.at(at), library, name)
				}
			})
		}
	}
}

func TestClock(t *testing.T) {
	for _, f := range handWritten(t) {
		// These measure durations for metrics, the log and rests, and set the deadlines of connections,
		// which no test needs to control.
		exempt := []string{
			"internal/httpapi/middleware.go", "internal/database/observe.go", "internal/database/postgres_net.go",
			"internal/database/gently.go", "internal/password/hasher.go",
		}
		if !f.product || isBelow(f.folder, "cmd/sesame") || slices.Contains(exempt, f.path) {
			continue
		}
		f.mentions("time", func(name string, at, parent ast.Node) {
			defaults := name == "Now" && sets(parent)
			if slices.Contains([]string{"Now", "Since", "Until"}, name) && !defaults {
				t.Errorf("%s reads the clock with time.%s: take a func() time.Time, so that a test can control it; "+
					"time.Now without a call is allowed as the default of such a function", f.at(at), name)
			}
		})
	}
}

// sets reports whether a node assigns a value to a variable or field.
func sets(node ast.Node) bool {
	switch node.(type) {
	case *ast.AssignStmt, *ast.ValueSpec, *ast.KeyValueExpr:
		return true
	}
	return false
}

func TestPackageNames(t *testing.T) {
	vague := []string{
		"util", "utils", "common", "models", "services", "repository", "controllers", "handlers", "helpers",
	}
	for _, f := range handWritten(t) {
		for _, name := range append(strings.Split(f.folder, "/"), strings.TrimSuffix(f.syntax.Name.Name, "_test")) {
			if slices.Contains(vague, name) {
				t.Errorf("%s is in %s: name a package or folder after its topic, not after a category", f.path, name)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	files := handWritten(t)
	onlyTests, described := make(map[string]bool), make(map[string]bool) // by folder
	for _, f := range files {
		if !f.test {
			onlyTests[f.folder] = false
		} else if _, known := onlyTests[f.folder]; !known {
			onlyTests[f.folder] = true
		}
	}
	for _, f := range files {
		// go doc does not show comments of tests, so they count only in a folder without other files.
		described[f.folder] = described[f.folder] || f.syntax.Doc != nil && f.test == onlyTests[f.folder]
	}
	for folder, is := range described {
		if !is {
			t.Errorf("%s has no package comment: describe what the package does, and what it does not do", folder)
		}
	}
}

func TestFileLengths(t *testing.T) {
	for _, f := range handWritten(t) {
		if !f.test && f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it", f.path, f.lines, maxLines)
		}
	}
}

// file is one Go file.
type file struct {
	path, folder string // from the root of the repository
	test         bool   // the name ends in _test.go
	product      bool   // neither a test nor a helper of tests
	lines        int
	syntax       *ast.File
	positions    *token.FileSet
}

// handWritten parses every hand-written file, for every platform and build tag. It walks the tree
// itself, so that the go command's test cache notices an added file.
func handWritten(t *testing.T) []file {
	t.Helper()
	var files []file
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && isForeign(name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := os.ReadFile(path.Join(root, name))
		if err != nil {
			return err
		}
		f := file{
			path: name, folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go"),
			lines: bytes.Count(source, []byte("\n")), positions: token.NewFileSet(),
		}
		f.product = !f.test && !helpsTests(f.folder)
		f.syntax, err = parser.ParseFile(f.positions, name, source, parser.ParseComments|parser.SkipObjectResolution)
		if err == nil && !ast.IsGenerated(f.syntax) {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.path == "cmd/sesame/main.go" }) {
		t.Fatal(root + " is not the root of the repository")
	}
	return files
}

// isForeign reports whether a folder has no hand-written Go code: the go command skips it, or it is
// generated.
func isForeign(folder string) bool {
	name := path.Base(folder)
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") ||
		name == "testdata" || name == "node_modules" || folder == "gen"
}

// helpsTests reports whether the packages below a folder only help tests and developers.
func helpsTests(folder string) bool {
	isTest := func(name string) bool { return strings.HasSuffix(name, "test") }
	return below("internal/bench", "internal/faults", "internal/tools")(folder) ||
		slices.ContainsFunc(strings.Split(folder, "/"), isTest)
}

func importPath(spec *ast.ImportSpec) string {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // cannot happen: the parser has accepted it
	}
	return imported
}

// at returns the position of a node, as file:line:column.
func (f file) at(node ast.Node) string { return f.positions.Position(node.Pos()).String() }

// mentions calls found for every use of a name of a standard library package, with the node and its
// parent.
func (f file) mentions(library string, found func(name string, at, parent ast.Node)) {
	local := ""
	for _, spec := range f.syntax.Imports {
		if importPath(spec) == library {
			if local = library; spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "" {
		return
	}
	var ancestors []ast.Node
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		if node == nil {
			ancestors = ancestors[:len(ancestors)-1]
			return true
		}
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local {
				found(selector.Sel.Name, selector, ancestors[len(ancestors)-1])
			}
		}
		ancestors = append(ancestors, node)
		return true
	})
}
