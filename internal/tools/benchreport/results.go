package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are the lines of one or more runs.
type results struct {
	facts  []string                        // about the machine and the programs: the lines after "# "
	names  []string                        // of the benchmarks, in the order of the file
	values map[string]map[string][]float64 // by name and unit, one of each run
}

// processors is the suffix of a benchmark's name.
var processors = regexp.MustCompile(`-\d+$`)

func readResults(path string) (*results, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	r := &results{values: make(map[string]map[string][]float64)}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fact, found := strings.CutPrefix(lines.Text(), "# "); found && !slices.Contains(r.facts, fact) {
			r.facts = append(r.facts, fact)
		}
		if err := r.add(lines.Text()); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, lines.Text(), err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(r.names) == 0 {
		return nil, fmt.Errorf("%s has no results of benchmarks", path)
	}
	return r, nil
}

// add adds a line of the format that go test prints: name, iterations, then pairs of value and unit.
// It ignores other lines.
func (r *results) add(line string) error {
	fields := strings.Fields(line)
	if len(fields) < 4 || len(fields)%2 != 0 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
	if r.values[name] == nil {
		r.names, r.values[name] = append(r.names, name), make(map[string][]float64)
	}
	for i := 2; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return err
		}
		unit := fields[i+1]
		r.values[name][unit] = append(r.values[name][unit], value)
	}
	return nil
}

// median returns the median of all runs.
func (r *results) median(name, unit string) (value float64, found bool) {
	values := slices.Sorted(slices.Values(r.values[name][unit]))
	if len(values) == 0 {
		return 0, false
	}
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, true
}
