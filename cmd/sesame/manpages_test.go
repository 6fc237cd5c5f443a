package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// `make manuals` uses this flag. The generator is part of the tests because its libraries must not be
// in the program.
var manpages = flag.String("manpages", "", "the folder to which TestManPages writes the manual pages")

// Every command has a manual page, except for hidden ones. The pages are the same each time, with
// the date from SOURCE_DATE_EPOCH.
func TestManPages(t *testing.T) {
	if os.Getenv("SOURCE_DATE_EPOCH") == "" {
		t.Setenv("SOURCE_DATE_EPOCH", "1577934245")
	}
	folder := *manpages
	if folder == "" {
		folder = t.TempDir()
	}
	generate := func(folder string) {
		t.Helper()
		root := rootCommand(nil)
		root.InitDefaultCompletionCmd()
		root.DisableAutoGenTag = true
		header := &doc.GenManHeader{Source: "Sesame", Manual: "Sesame Manual"}
		if err := doc.GenManTree(root, header, folder); err != nil {
			t.Fatal(err)
		}
	}
	generate(folder)
	again := t.TempDir()
	generate(again)
	root := rootCommand(nil)
	var check func(command *cobra.Command)
	check = func(command *cobra.Command) {
		name := strings.ReplaceAll(command.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(folder, name))
		if command.Hidden {
			if err == nil {
				t.Errorf("there is a page %s", name)
			}
			return
		}
		if err != nil {
			t.Error(err)
		}
		if !bytes.HasPrefix(page, []byte(".nh\n.TH \"SESAME")) || !bytes.Contains(page, []byte(`"Sesame Manual"`)) {
			t.Errorf("%s is not a manual page:\n%.100s", name, page)
		}
		if second, err := os.ReadFile(filepath.Join(again, name)); err != nil || !bytes.Equal(page, second) {
			t.Errorf("%s is not the same again: %v", name, err)
		}
		for _, child := range command.Commands() {
			check(child)
		}
	}
	check(root)
}
