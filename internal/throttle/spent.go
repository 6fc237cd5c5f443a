package throttle

import (
	"sync"
	"time"
)

const (
	// remembered is how long a refusal is repeated without a query. It is short, because another
	// instance may refund the budget.
	remembered = time.Second
	// mostRemembered limits the memory. Attempts on further budgets query the database.
	mostRemembered = 10_000
)

// spent remembers budgets that the database has just reported as spent and that no attempt in
// flight can refund, so that a flood of attempts does not reach the database. Times are in
// microseconds.
type spent struct {
	mu      sync.Mutex
	budgets map[string]spentBudget
}

type spentBudget struct {
	free  int64 // when the budget allows an attempt again
	until int64 // when to query the database again
}

// current reports whether the refusal still holds. It does not if the clock was set back since.
func (b spentBudget) current(now int64) bool {
	return now < b.until && b.until <= now+remembered.Microseconds()
}

func remembering(free, now int64) spentBudget {
	return spentBudget{free: free, until: min(free, now+remembered.Microseconds())}
}

func (s *spent) remember(key []byte, free, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.budgets) >= mostRemembered {
		for other, of := range s.budgets {
			if of.until <= now {
				delete(s.budgets, other)
			}
		}
	}
	if len(s.budgets) < mostRemembered {
		s.budgets[string(key)] = remembering(free, now)
	}
}

func (s *spent) forget(key []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.budgets, string(key))
}

// wait returns how long it takes until all remembered budgets allow an attempt again, or 0 if none
// is remembered. It ignores budgets of distinct attempts, as only the database knows which attempts
// they have counted already.
func (s *spent) wait(budgets []budget, now int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	longest := int64(0)
	for _, b := range budgets {
		if of, known := s.budgets[string(b.key)]; known && b.marker == nil && of.current(now) {
			longest = max(longest, of.free-now)
		}
	}
	return time.Duration(longest) * time.Microsecond
}
