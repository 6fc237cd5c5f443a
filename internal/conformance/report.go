package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report contains the responses of a run.
type Report struct {
	Account    string   // the registered email; empty: none
	Notes      []string // what was not tested, and why
	operations []Operation
	took       map[result][]time.Duration
}

// result is a status that an operation returned.
type result struct {
	operation string
	status    int
}

func newReport(operations []Operation) *Report {
	return &Report{operations: operations, took: make(map[result][]time.Duration)}
}

// add records a response. It ignores responses of undocumented paths.
func (r *Report) add(operation string, status int, took time.Duration) {
	if operation != "" {
		key := result{operation, status}
		r.took[key] = append(r.took[key], took)
	}
}

// Empty reports whether there was no response at all.
func (r *Report) Empty() bool { return len(r.took) == 0 }

// Took returns the duration of each response of an operation with a status.
func (r *Report) Took(operation string, status int) []time.Duration {
	return r.took[result{operation, status}]
}

// Table returns a table of operations and statuses. Cells contain the median duration in
// milliseconds, or a dash for a documented status that was not returned.
func (r *Report) Table() string {
	var statuses []int
	for _, operation := range r.operations {
		statuses = append(statuses, operation.Statuses...)
	}
	for key := range r.took {
		statuses = append(statuses, key.status) // undocumented ones too
	}
	slices.Sort(statuses)
	statuses = slices.Compact(statuses)

	var table strings.Builder
	line := func(name string, cell func(status int) string) {
		fmt.Fprintf(&table, "%-32s", name)
		for _, status := range statuses {
			fmt.Fprintf(&table, "%8s", cell(status))
		}
		table.WriteString("\n")
	}
	line("", func(status int) string { return fmt.Sprint(status) })
	for _, operation := range r.operations {
		line(operation.ID, func(status int) string {
			took := r.Took(operation.ID, status)
			switch {
			case len(took) > 0:
				return fmt.Sprintf("%.1f", float64(median(took))/float64(time.Millisecond))
			case slices.Contains(operation.Statuses, status):
				return "-"
			}
			return ""
		})
	}
	return table.String()
}

func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2]
}
