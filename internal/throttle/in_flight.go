package throttle

import (
	"context"
	"sync"
)

// inFlight counts the reservations of this process that have not ended, by budget.
type inFlight struct {
	mu      sync.Mutex
	budgets map[string]*counts
	changed chan struct{} // closed when a reservation ends
}

type counts struct {
	attempts     int // of this process that are in flight, including reservations
	reservations int
	refunds      int // so far

	refusal spentBudget // the latest one
	after   int         // number of refunds before it
}

func newInFlight() inFlight {
	return inFlight{budgets: make(map[string]*counts), changed: make(chan struct{})}
}

// enter starts to count for an attempt, until leave or settle.
func (f *inFlight) enter(budgets []budget) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range budgets {
		if f.budgets[string(b.key)] == nil {
			f.budgets[string(b.key)] = &counts{}
		}
		f.budgets[string(b.key)].attempts++
	}
}

func (f *inFlight) leave(budgets []budget) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(budgets)
}

func (f *inFlight) forget(budgets []budget) {
	for _, b := range budgets {
		if of := f.budgets[string(b.key)]; of.attempts > 1 {
			of.attempts--
		} else {
			delete(f.budgets, string(b.key))
		}
	}
}

// reserve turns an attempt into a reservation, after enter.
func (f *inFlight) reserve(budgets []budget) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range budgets {
		f.budgets[string(b.key)].reservations++
	}
}

// settle ends a reservation.
func (f *inFlight) settle(budgets []budget, refunded bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range budgets {
		of := f.budgets[string(b.key)]
		of.reservations--
		if refunded {
			of.refunds++
		}
	}
	f.forget(budgets)
	close(f.changed)
	f.changed = make(chan struct{})
}

// refunds returns the number of refunds to each budget.
func (f *inFlight) refunds(budgets []budget) map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[string]int, len(budgets))
	for _, b := range budgets {
		counts[string(b.key)] = f.budgets[string(b.key)].refunds
	}
	return counts
}

// refuse records a refusal by the database. seen is the result of refunds before the query: the
// database may not have seen a later refund.
func (f *inFlight) refuse(refused *refusal, seen map[string]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, b := range refused.budgets {
		of := f.budgets[string(b.key)]
		of.refusal, of.after = remembering(refused.free[i], refused.at), seen[string(b.key)]
	}
}

// refused returns the refusal that the database would repeat, or nil if anything was refunded
// since. So if several attempts wait for a refund, not all of them query the database.
func (f *inFlight) refused(budgets []budget, now int64) *refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	again := &refusal{at: now}
	for _, b := range budgets {
		if of := f.budgets[string(b.key)]; b.marker == nil && of.after == of.refunds && of.refusal.current(now) {
			again.budgets, again.free = append(again.budgets, b), append(again.free, of.refusal.free)
		}
	}
	if len(again.budgets) == 0 {
		return nil
	}
	return again
}

// none reports whether this process has no reservation of a budget in flight.
func (f *inFlight) none(b budget) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := f.budgets[string(b.key)]
	return of == nil || of.reservations == 0
}

// wait waits for a refund that is not among those seen. It returns true if one of the spent budgets
// was refunded, and false if one of them has no reservation left that could be refunded, or if ctx
// is done.
func (f *inFlight) wait(ctx context.Context, spent []budget, seen map[string]int) bool {
	for {
		f.mu.Lock()
		refunded, hopeless := false, false
		for _, b := range spent {
			of := f.budgets[string(b.key)]
			if of.refunds != seen[string(b.key)] {
				refunded = true
			} else if of.reservations == 0 {
				hopeless = true
			}
		}
		changed := f.changed
		f.mu.Unlock()
		if refunded || hopeless {
			return refunded && !hopeless
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
