package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const run1 = `goos: linux
# Go: 1.26.8
BenchmarkLogin/sqlite/new-networks-2   	 1	 50.0 floor-hash/s	 300 p99-ms	 0.80 ratio	 40.0 req/s
BenchmarkAuthenticate/sqlite-2         	 1	 10000 floor-req/s	 12.5 p99-ms	 0.50 ratio	 5000 req/s
BenchmarkOld-2                         	       1	        1 ratio
PASS
`

// write makes a file with the output of a run.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run.txt")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCompare(t *testing.T) {
	twice := func(authenticate string) string {
		again := strings.ReplaceAll(strings.ReplaceAll(run1, "0.50 ratio", authenticate+" ratio"), "5000 req/s", "500 req/s")
		return again + again
	}
	for _, test := range []struct {
		current string
		worse   bool
	}{
		{twice("0.50"), false}, // only the rate is worse
		{twice("0.41"), false},
		{twice("0.39"), true},
		{twice("0.50") + strings.ReplaceAll(run1, "0.50 ratio", "0.01 ratio"), false}, // the median
		{strings.Replace(run1, "BenchmarkOld", "BenchmarkNew", 1), false},
	} {
		var output strings.Builder
		err := run([]string{"compare", write(t, run1), write(t, test.current)}, &output)
		if (err != nil) != test.worse || strings.Contains(output.String(), "WORSE") != test.worse {
			t.Errorf("%v\n%s", err, &output)
		}
	}
	if err := run([]string{"compare", write(t, run1), write(t, "BenchmarkNew 1 1 ratio\n")}, io.Discard); err == nil {
		t.Error("without a common ratio there must be an error")
	}
	if err := run([]string{"compare", write(t, run1), write(t, "PASS\n")}, io.Discard); err == nil {
		t.Error("without results there must be an error")
	}
}

func TestDocument(t *testing.T) {
	folder := t.TempDir()
	page := filepath.Join(folder, "performance.md")
	content := "# Performance\n\n<!-- begin work: written by a program -->\nold\n<!-- end work -->\n\ntext\n\n" +
		"<!-- begin flood: written by a program -->\nstays\n<!-- end flood -->\n"
	if err := os.WriteFile(page, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var output strings.Builder
	if err := run([]string{"document", write(t, run1), folder}, &output); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `POST /auth` | 5,000 | 12 ms | 10,000 | 0.50 |", "\ntext\n", "\nstays\n",
		"<!-- begin work: written by a program -->\n| work",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page does not contain %q:\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") || !strings.Contains(output.String(), "no flood") {
		t.Errorf("%s\n%s", got, &output)
	}
	unknown := strings.ReplaceAll(content, "flood", "weather")
	if err := os.WriteFile(page, []byte(unknown), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"document", write(t, run1), folder}, io.Discard); err == nil {
		t.Error("an unknown block must be an error")
	}
}

// Every block of the page is known, and its plots are well-formed.
func TestSections(t *testing.T) {
	results, err := readResults("testdata/results.txt")
	if err != nil {
		t.Fatal(err)
	}
	plotted := 0
	for name, section := range sections {
		text, plots := section(results)
		if text == "" || strings.Contains(text, "NaN") {
			t.Errorf("%s: %q", name, text)
		}
		for file, plot := range plots {
			plotted++
			if !strings.Contains(text, "("+file+")") || strings.Contains(plot, "NaN") {
				t.Errorf("%s: %s is not shown, or has no numbers:\n%s", name, file, plot)
			}
			elements := xml.NewDecoder(strings.NewReader(plot))
			for err = nil; err == nil; _, err = elements.Token() {
			}
			if !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if plotted != 5 {
		t.Errorf("there are %d plots", plotted)
	}
}

func TestFit(t *testing.T) {
	l := line{x: []float64{10, 100, 1000}, y: []float64{1, 0.9, 0.8}}
	if got := l.fit(10_000); got < 0.699 || got > 0.701 {
		t.Errorf("the line goes through %v, want 0.7", got)
	}
}

func TestNumber(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.123: "0.12", 5: "5", 12.5: "12", 1234.4: "1,234", 1_000_000: "1,000,000", -0.5: "-0.5",
	} {
		if got := number(value); got != want {
			t.Errorf("%v: %q, want %q", value, got, want)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		axis axis
		want int
	}{
		{upTo(0, 5000, false), 6}, {upTo(0, 1.02, false), 6}, {upTo(0.5, 90, true), 8},
	} {
		if got := test.axis.ticks(); len(got) != test.want {
			t.Errorf("%+v: %v", test.axis, got)
		}
	}
}
