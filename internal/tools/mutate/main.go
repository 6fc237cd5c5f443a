// Mutate removes one guard of the code after the other, and runs the tests that must notice. It
// prints which guards were removed without a failing test.
//
// The guards are those of [guards]. Arguments select some of them, by a part of their file or
// description. The files of the working tree are not changed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// guard is code that a test must protect.
type guard struct {
	what string // what no longer holds without it
	file string
	code string // occurs once in the file
	gone string // replaces code: the file without the guard
	pkg  string // the package of the tests that must fail
	run  string // their names, for go test -run
}

// timeout ends tests that hang without the guard. Then they noticed.
const timeout = 3 * time.Minute

func main() {
	survived, err := mutate(context.Background(), selected(os.Args[1:]), os.Stdout)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "mutate:", err) // best effort
		os.Exit(2)
	}
	if survived > 0 {
		os.Exit(1)
	}
}

// selected returns the guards whose file or description contains one of the words.
func selected(words []string) []guard {
	var some []guard
	for _, g := range guards {
		matches := len(words) == 0
		for _, word := range words {
			matches = matches || strings.Contains(g.file, word) || strings.Contains(g.what, word)
		}
		if matches {
			some = append(some, g)
		}
	}
	return some
}

// mutate removes each guard and returns how many of them no test noticed.
func mutate(ctx context.Context, guards []guard, out io.Writer) (survived int, err error) {
	folder, err := os.MkdirTemp("", "mutate-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	for _, g := range guards {
		noticed, output, err := g.remove(ctx, folder)
		if err != nil {
			return survived, fmt.Errorf("%s: %w\n%s", g.what, err, output)
		}
		result := "noticed "
		if !noticed {
			result = "SURVIVED"
			survived++
		}
		if _, err := fmt.Fprintf(out, "%s %s (%s)\n", result, g.what, g.file); err != nil {
			return survived, err
		}
	}
	_, err = fmt.Fprintf(out, "%d of %d removed guards were noticed\n", len(guards)-survived, len(guards))
	return survived, err
}

// remove runs the tests without the guard, and reports whether one failed.
func (g guard) remove(ctx context.Context, folder string) (noticed bool, output []byte, err error) {
	without, err := g.without()
	if err != nil {
		return false, nil, err
	}
	replacement, overlay := filepath.Join(folder, "guard.go"), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(replacement, []byte(without), 0o600); err != nil {
		return false, nil, err
	}
	absolute, err := filepath.Abs(g.file)
	if err != nil {
		return false, nil, err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {absolute: replacement}})
	if err != nil {
		return false, nil, err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return false, nil, err
	}
	folder = "./" + filepath.Dir(g.file)
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, folder)
	if output, err := build.CombinedOutput(); err != nil {
		return false, output, fmt.Errorf("it does not compile without the guard: %w", err)
	}
	test := exec.CommandContext(ctx, "go", "test", "-overlay", overlay,
		"-timeout", timeout.String(), "-run", "^("+g.run+")$", "./"+g.pkg)
	output, err = test.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return true, output, nil
	}
	return false, output, err
}

// without returns the file without the guard.
func (g guard) without() (string, error) {
	content, err := os.ReadFile(g.file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(content), g.code); n != 1 {
		return "", fmt.Errorf("%s contains the guard %d times, not once", g.file, n)
	}
	return strings.Replace(string(content), g.code, g.gone, 1), nil
}
