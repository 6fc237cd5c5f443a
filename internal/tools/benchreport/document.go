package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// section makes the text of one block of the page, and its plots by file name. It returns an empty text
// if the results do not have what it needs.
type section func(r *results) (text string, plots map[string]string)

// sections are the blocks of the page by name: <!-- begin NAME … --> up to <!-- end NAME -->.
var sections = map[string]section{
	"machine":     machine,
	"work":        work,
	"round-trips": roundTrips,
	"connections": connections,
	"flood":       flood,
	"refusals":    refusals,
	"scale":       scale,
	"peers":       peers,
	"others":      others,
}

var block = regexp.MustCompile(`(?s)(<!-- begin ([a-z-]+)[^>]*-->\n).*?(<!-- end ([a-z-]+) -->)`)

// document replaces the blocks of performance.md and writes the plots next to it. Blocks that the
// results say nothing about stay as they are, and are listed.
func document(r *results, folder string, output io.Writer) error {
	page := filepath.Join(folder, "performance.md")
	content, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	var failed []error
	written := 0
	content = block.ReplaceAllFunc(content, func(old []byte) []byte {
		match := block.FindSubmatch(old)
		name := string(match[2])
		made, known := sections[name]
		if !known || name != string(match[4]) {
			failed = append(failed, fmt.Errorf("%s: block %q is unknown or has no end", page, name))
			return old
		}
		text, plots := made(r)
		if text == "" {
			_, err := fmt.Fprintf(output, "%s: the results have no %s; it stays as it is\n", page, name)
			failed = append(failed, err)
			return old
		}
		for file, plot := range plots {
			failed = append(failed, os.WriteFile(filepath.Join(folder, file), []byte(plot), 0o644))
		}
		written++
		return []byte(string(match[1]) + text + string(match[3]))
	})
	if written == 0 {
		failed = append(failed, fmt.Errorf("%s has no block that the results are about", page))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	return os.WriteFile(page, content, 0o644)
}

// engines are the engines in the names of benchmarks, and their names.
var engines = []struct{ id, name string }{{"sqlite", "SQLite"}, {"postgres", "PostgreSQL"}}

// table collects the rows of a Markdown table.
type table struct{ strings.Builder }

func newTable(header ...string) *table {
	t := &table{}
	t.row(header...)
	t.row(strings.Split(strings.Repeat("---,", len(header)-1)+"---", ",")...)
	return t
}

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

// cell returns a result, or a dash if there is none.
func (r *results) cell(name, unit string) string {
	if value, found := r.median(name, unit); found {
		return number(value)
	}
	return "–"
}

// ratio returns the ratio of a benchmark, or a dash.
func (r *results) ratio(name string) string {
	if value, found := r.median(name, "ratio"); found {
		return fmt.Sprintf("%.2f", value)
	}
	return "–"
}

// has reports whether there is any result of a benchmark.
func (r *results) has(benchmark string) bool {
	for _, name := range r.names {
		if name == benchmark || strings.HasPrefix(name, benchmark+"/") {
			return true
		}
	}
	return false
}
