package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is what was seen of a deployment.
type Report struct {
	Account    string   // the address registered; empty: none was
	Notes      []string // what was not tried, and why
	operations []Operation
	took       map[seen][]time.Duration
}

// seen is an answer of the contract.
type seen struct {
	operation string
	status    int
}

func newReport(operations []Operation) *Report {
	return &Report{operations: operations, took: make(map[seen][]time.Duration)}
}

// add counts an answer. One that is not an operation's leaves no trace.
func (r *Report) add(operation string, status int, took time.Duration) {
	if operation != "" {
		at := seen{operation, status}
		r.took[at] = append(r.took[at], took)
	}
}

// Empty tells whether the deployment answered nothing.
func (r *Report) Empty() bool { return len(r.took) == 0 }

// Took is how long an operation's answers of a status took, each; empty: there were none.
func (r *Report) Took(operation string, status int) []time.Duration {
	return r.took[seen{operation, status}]
}

// Table is operations by statuses: the median in milliseconds of each answer that was seen, a dash for one
// that is documented and was not seen.
func (r *Report) Table() string {
	var statuses []int
	for _, operation := range r.operations {
		statuses = append(statuses, operation.Statuses...)
	}
	for at := range r.took {
		statuses = append(statuses, at.status) // what is not documented is a breach, and belongs into the table
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
