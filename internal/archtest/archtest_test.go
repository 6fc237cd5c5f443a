// Package archtest tests the rules of the code base that a compiler does not know: which package may import
// what, who reads the environment and the clock, what packages are called. The rules apply to the hand-written
// code that ships. Tests are exempt, and so are the packages that only help them (below a folder whose name ends
// in test, internal/bench and internal/tools).
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
	// maxLines is the maximum length of a file. Consider a split from 250 lines on.
	maxLines = 300
)

// domain lists the packages that decide. They know nothing of HTTP.
var domain = []string{
	"internal/auth", "internal/password", "internal/token", "internal/signing", "internal/mail", "internal/throttle",
	"internal/audit", "internal/database",
}

var importRules = []struct {
	name      string
	imports   []string // packages, including those below them
	forbidden func(folder string) bool
	why       string
}{
	{"only packages that own rows import gorm", []string{"gorm.io"},
		exceptBelow("internal/audit", "internal/auth", "internal/mail", "internal/signing", "internal/throttle", "internal/database"),
		"a GORM model does not leave the package that owns its rows; other packages ask that package"},
	{"the domain knows nothing of HTTP", []string{"net/http", "github.com/labstack", module + "/gen"}, below(domain...),
		"status codes, headers and wire types belong to internal/httpapi; the domain returns its own values and errors"},
	{"only the HTTP layer imports the generated server", []string{module + "/gen/api"}, exceptBelow("internal/httpapi"),
		"the generated interface is implemented in one place, internal/httpapi"},
	{"the server does not import the client", []string{module + "/client", module + "/gen/client"}, exceptBelow("client"),
		"the server does not call itself; a client in it would ship unused"},
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
				if !f.ships || !rule.forbidden(f.folder) {
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

// Importing the public client adds its dependencies to the importing module. go mod tidy counts its tests, too.
func TestPublicClientImports(t *testing.T) {
	for _, f := range handWritten(t) {
		if f.folder != "client" {
			continue
		}
		for _, spec := range f.syntax.Imports {
			imported := importPath(spec)
			if domain, _, _ := strings.Cut(imported, "/"); strings.Contains(domain, ".") && imported != module+"/client" && imported != module+"/gen/client" {
				t.Errorf("%s imports %s: the client needs only the standard library and the generated client; every "+
					"other module would become a dependency of its users", f.at(spec), imported)
			}
		}
	}
}

// TestShippedPackages asks the go command which packages the binary contains.
func TestShippedPackages(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/sesame")
	list.Dir, list.Stderr = root, os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for imported := range strings.Lines(string(output)) {
		imported = strings.TrimSpace(imported)
		folder, own := strings.CutPrefix(imported, module+"/")
		if imported == "testing" || own && helpsTests(folder) {
			t.Errorf("cmd/sesame depends on %s, which is exempt from the rules and must not ship", imported)
		}
	}
}

// Services import package verify, and with it everything that it imports. go mod tidy counts its tests, too.
func TestVerifyStandsAlone(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-test", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./verify")
	list.Dir, list.Stderr = root, os.Stderr
	output, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for imported := range strings.Lines(string(output)) {
		if !strings.HasPrefix(imported, module+"/verify") { // with .test or _test at the end: its tests
			t.Errorf("verify depends on %s, which is not in the standard library", strings.TrimSpace(imported))
		}
	}
}

// An example uses only public packages.
func TestExamples(t *testing.T) {
	for _, f := range handWritten(t) {
		if f.test {
			continue
		}
		for _, spec := range f.syntax.Imports {
			if imported := importPath(spec); isBelow(f.folder, "examples") && isBelow(imported, module) && imported != module+"/verify" {
				t.Errorf("%s imports %s, which a service cannot or should not import", f.at(spec), imported)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	readers := []string{"Environ", "Getenv", "LookupEnv", "ExpandEnv"}
	for _, f := range handWritten(t) {
		if !f.ships || f.path == "cmd/sesame/main.go" || f.path == "cmd/sesame/config.go" {
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
		// middleware.go measures how long a request took, which no test needs to control.
		if !f.ships || isBelow(f.folder, "cmd/sesame") || f.path == "internal/httpapi/middleware.go" {
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
	empty := []string{"util", "utils", "common", "models", "services", "repository", "controllers", "handlers", "helpers"}
	for _, f := range handWritten(t) {
		for _, name := range append(strings.Split(f.folder, "/"), strings.TrimSuffix(f.syntax.Name.Name, "_test")) {
			if slices.Contains(empty, name) {
				t.Errorf("%s is in a package or folder %s: a name says what is inside, not what kind of thing it is", f.path, name)
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
			t.Errorf("%s has no package comment: say what the package does and what it does not", folder)
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
	test         bool   // is named _test.go
	ships        bool   // neither a test nor a helper of tests
	lines        int
	syntax       *ast.File
	positions    *token.FileSet
}

// handWritten parses every file, for every platform and build tag. It walks the tree itself, so that the go
// command's test cache notices an added file.
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
		f := file{path: name, folder: path.Dir(name), lines: bytes.Count(source, []byte("\n")), positions: token.NewFileSet()}
		f.test = strings.HasSuffix(name, "_test.go")
		f.ships = !f.test && !helpsTests(f.folder)
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
		t.Fatal("the repository is not at " + root)
	}
	return files
}

// isForeign reports whether a folder contains no Go code of ours: the go command skips it too, or it is generated.
func isForeign(folder string) bool {
	name := path.Base(folder)
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "node_modules" || folder == "gen"
}

func helpsTests(folder string) bool {
	return isBelow(folder, "internal/bench") || isBelow(folder, "internal/tools") ||
		slices.ContainsFunc(strings.Split(folder, "/"), func(name string) bool { return strings.HasSuffix(name, "test") })
}

func importPath(spec *ast.ImportSpec) string {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has read it
	}
	return imported
}

// at returns the position of a node, in the form that editors understand.
func (f file) at(node ast.Node) string { return f.positions.Position(node.Pos()).String() }

// mentions calls found for every name of a standard library package that the file uses, with the enclosing node.
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
	var open []ast.Node
	ast.Inspect(f.syntax, func(node ast.Node) bool {
		if node == nil {
			open = open[:len(open)-1]
			return true
		}
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if x, ok := selector.X.(*ast.Ident); ok && x.Name == local {
				found(selector.Sel.Name, selector, open[len(open)-1])
			}
		}
		open = append(open, node)
		return true
	})
}
