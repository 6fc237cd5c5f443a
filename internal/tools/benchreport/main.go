// Benchreport reads the output of make bench.
//
//	benchreport compare BASE CURRENT    fails if a ratio has become 20 % worse
//	benchreport document RESULTS DOCS   writes the figures and plots of performance.md in folder DOCS
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "benchreport:", err) // best effort
		os.Exit(1)
	}
}

func run(args []string, output io.Writer) error {
	if len(args) != 3 || args[0] != "compare" && args[0] != "document" {
		return fmt.Errorf("usage: benchreport compare BASE CURRENT, or benchreport document RESULTS DOCS")
	}
	first, err := readResults(args[1])
	if err != nil {
		return err
	}
	if args[0] == "document" {
		return document(first, args[2], output)
	}
	current, err := readResults(args[2])
	if err != nil {
		return err
	}
	return compare(first, current, output)
}
