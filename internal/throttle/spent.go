package throttle

import (
	"sync"
	"time"
)

const (
	// remembered is how long a refusal stands without the database: another instance may give back what it was for.
	remembered = time.Second
	// mostRemembered bounds the memory; a budget that finds no room is looked up as often as it is asked for.
	mostRemembered = 10_000
)

// spent knows budgets that the database has just found spent and that no attempt in flight can be given back, so that
// a flood of attempts on them ends here. Times are in microseconds.
type spent struct {
	mu      sync.Mutex
	budgets map[string]spentBudget
}

type spentBudget struct{ free, until int64 } // when there is budget again; when to ask the database again

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

// wait is how long until all of budgets that are remembered have budget again; 0 when none is. A budget that counts
// distinct attempts may let one through that it has counted already, so the database is asked.
func (s *spent) wait(budgets []budget, now int64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	longest := int64(0)
	for _, b := range budgets {
		if of, known := s.budgets[string(b.key)]; known && b.marker == nil && now < of.until {
			longest = max(longest, of.free-now)
		}
	}
	return time.Duration(longest) * time.Microsecond
}
