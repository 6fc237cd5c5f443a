package throttle

import (
	"context"
	"sync"
)

// inFlight counts the reservations of this process that have not ended, by budget.
type inFlight struct {
	mu      sync.Mutex
	budgets map[string]*holders
	changed chan struct{} // closed when a reservation ends
}

type holders struct {
	users   int // attempts that use this entry, including reservations
	held    int // reservations
	refunds int // so far

	refusal spentBudget // the latest one
	after   int         // number of refunds before it
}

func newInFlight() inFlight {
	return inFlight{budgets: make(map[string]*holders), changed: make(chan struct{})}
}

// enter keeps the counts of budgets until leave or settle.
func (h *inFlight) enter(budgets []budget) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range budgets {
		if h.budgets[string(b.key)] == nil {
			h.budgets[string(b.key)] = &holders{}
		}
		h.budgets[string(b.key)].users++
	}
}

func (h *inFlight) leave(budgets []budget) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(budgets)
}

func (h *inFlight) forget(budgets []budget) {
	for _, b := range budgets {
		if of := h.budgets[string(b.key)]; of.users > 1 {
			of.users--
		} else {
			delete(h.budgets, string(b.key))
		}
	}
}

// hold turns an attempt, after enter, into a reservation.
func (h *inFlight) hold(budgets []budget) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range budgets {
		h.budgets[string(b.key)].held++
	}
}

// settle ends a reservation.
func (h *inFlight) settle(budgets []budget, refunded bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range budgets {
		of := h.budgets[string(b.key)]
		of.held--
		if refunded {
			of.refunds++
		}
	}
	h.forget(budgets)
	close(h.changed)
	h.changed = make(chan struct{})
}

// refunds returns the number of refunds to each budget.
func (h *inFlight) refunds(budgets []budget) map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := make(map[string]int, len(budgets))
	for _, b := range budgets {
		counts[string(b.key)] = h.budgets[string(b.key)].refunds
	}
	return counts
}

// refuse records a refusal by the database. seen is the result of refunds before the query: the database may not have
// seen a refund that came in between.
func (h *inFlight) refuse(refused *refusal, seen map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, b := range refused.budgets {
		of := h.budgets[string(b.key)]
		of.refusal, of.after = remembering(refused.free[i], refused.at), seen[string(b.key)]
	}
}

// refused returns the refusal that the database would repeat, or nil if anything was refunded since. So when several
// attempts wait for one refund, the database is not queried for each of them.
func (h *inFlight) refused(budgets []budget, now int64) *refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	again := &refusal{at: now}
	for _, b := range budgets {
		if of := h.budgets[string(b.key)]; b.marker == nil && of.after == of.refunds && now < of.refusal.until {
			again.budgets, again.free = append(again.budgets, b), append(again.free, of.refusal.free)
		}
	}
	if len(again.budgets) == 0 {
		return nil
	}
	return again
}

// none reports whether no reservation of a budget is in flight in this process.
func (h *inFlight) none(b budget) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.budgets[string(b.key)]
	return of == nil || of.held == 0
}

// wait waits for a refund that is not among those seen. It returns true when one of the spent budgets was refunded,
// and false when one of them has no reservation left that could be refunded, or when ctx is done.
func (h *inFlight) wait(ctx context.Context, spent []budget, seen map[string]int) bool {
	for {
		h.mu.Lock()
		refunded, hopeless := false, false
		for _, b := range spent {
			of := h.budgets[string(b.key)]
			if of.refunds != seen[string(b.key)] {
				refunded = true
			} else if of.held == 0 {
				hopeless = true
			}
		}
		changed := h.changed
		h.mu.Unlock()
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
