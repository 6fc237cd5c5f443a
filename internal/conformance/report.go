package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how a check ended.
type Status string

const (
	Passed  Status = "passed"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Result is the result of a check.
type Result struct {
	Operation string // the operationId; empty: the whole deployment
	Check     string // what was checked
	Status    Status
	Err       error // why it failed, often a *Breach, or was skipped; nil: it passed
	Took      time.Duration
}

// String returns the name of the check.
func (c check) String() string { return name(c.operation, c.name) }

// Name returns the name of the check, with its operation.
func (r Result) Name() string { return name(r.Operation, r.Check) }

func name(operation, check string) string {
	if operation == "" {
		return check
	}
	return operation + ": " + check
}

// Reason returns why a check failed or was skipped, in one line without characters that control a
// terminal.
func (r Result) Reason() string {
	if r.Err == nil {
		return ""
	}
	reason := r.Err.Error()
	if breach, ok := errors.AsType[*Breach](r.Err); ok {
		reason = breach.Reason
	}
	return strings.ReplaceAll(printable(reason), "\n", "; ")
}

func (c check) result(err error) Result {
	status := Failed
	if err == nil {
		status = Passed
	} else if _, skipped := errors.AsType[skipError](err); skipped {
		status = Skipped
	}
	return Result{Operation: c.operation, Check: c.name, Status: status, Err: err}
}

// Report contains the results and the responses of a run.
type Report struct {
	Account    string // the email of the account that remains; empty: none
	Results    []Result
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

// Count returns the number of checks with a status.
func (r *Report) Count(status Status) int {
	count := 0
	for _, result := range r.Results {
		if result.Status == status {
			count++
		}
	}
	return count
}

// Summary returns the result of the run in one line.
func (r *Report) Summary() string {
	passed, failed, skipped := r.Count(Passed), r.Count(Failed), r.Count(Skipped)
	summary := fmt.Sprintf("passed: %d checks", passed)
	if failed > 0 {
		summary = fmt.Sprintf("failed: %d of %d checks", failed, len(r.Results))
	}
	if skipped > 0 {
		summary += fmt.Sprintf(", %d skipped", skipped)
	}
	return summary
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
