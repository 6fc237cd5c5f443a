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

// local is what this process knows about budgets. It decides whether an attempt queries the
// database, waits for another attempt, or is refused at once.
//
//   - If a budget is spent, and attempts of this process that have charged it are in flight, others
//     wait: those in flight may still be refunded.
//   - If none is in flight, the budget stays spent. So a flood of attempts does not reach the
//     database.
//   - Attempts with the same first budget query the database one after another. So if many wait for
//     a refund, one of them gets it, and the others learn from the next query that it is gone. If
//     the query fails, they fail with it.
//
// Times are in microseconds.
type local struct {
	mu      sync.Mutex
	budgets map[string]*state
}

// state is what this process knows about one budget.
type state struct {
	inFlight int    // attempts that have charged the budget, or may just be doing so, and have not ended
	querying *query // of an attempt whose first budget this is; nil: there is none
	refunds  int    // so far

	free  int64 // when the budget allows an attempt again, by the database's latest refusal
	until int64 // when to query the database again; in the past: there was no refusal, or it is outdated

	changed chan struct{} // closed by the next change, if an attempt waits for it
}

// query is a query of the database that is running.
type query struct {
	done chan struct{} // closed when err is set
	err  error         // why it failed
}

// spent reports whether the database's latest refusal still holds. It does not if the clock was set
// back since.
func (s *state) spent(now int64) bool {
	return now < s.until && s.until <= now+remembered.Microseconds()
}

// wake lets the attempts that wait for a change look again.
func (s *state) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

func (s *state) nextChange() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// attempt is one call of Reserve.
type attempt struct {
	budgets []budget
	// refused has the budgets that the database refused to charge for this attempt. A budget of
	// distinct attempts may refuse one attempt and not another, as it counts a text only once.
	refused []bool
	seen    []int  // the refunds of each budget when the latest query began
	query   *query // the one that runs, or that the attempt waits for
}

func newAttempt(budgets []budget) *attempt {
	return &attempt{budgets: budgets, refused: make([]bool, len(budgets)), seen: make([]int, len(budgets))}
}

// next decides what an attempt does next. If change is not nil, it waits for that and asks again;
// if it then finds that a.query has failed, so has the attempt. If both results are nil, it is in
// flight and queries the database.
func (l *local) next(a *attempt, now int64) (refused *ThrottledError, change <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.query = nil
	for i, b := range a.budgets {
		of := l.budgets[string(b.key)]
		if of == nil || !of.spent(now) || b.marker != nil && !a.refused[i] {
			continue
		}
		if of.inFlight > 0 {
			change = of.nextChange()
		} else {
			refused = longer(refused, b, of.free-now)
		}
	}
	first := l.budgets[string(a.budgets[0].key)]
	switch {
	case refused != nil:
		return refused, nil
	case change != nil:
		return nil, change
	case first != nil && first.querying != nil:
		a.query = first.querying
		return nil, a.query.done
	}
	a.query = &query{done: make(chan struct{})}
	l.state(a.budgets[0]).querying = a.query
	for i, b := range a.budgets {
		of := l.state(b)
		of.inFlight++
		a.seen[i] = of.refunds
	}
	return nil, nil
}

// longer returns the error with the longer wait: e, which may be nil, or one for the budget.
func longer(e *ThrottledError, b budget, wait int64) *ThrottledError {
	retryAfter := time.Duration(wait) * time.Microsecond
	if e != nil && e.RetryAfter >= retryAfter {
		return e
	}
	return &ThrottledError{Limit: b.limit, Budget: string(b.key), RetryAfter: retryAfter}
}

// refused returns the refusal of a budget that is spent, if no attempt in flight may be refunded, and
// nil otherwise.
func (l *local) refused(b budget, now int64) *ThrottledError {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.budgets[string(b.key)]
	if of == nil || of.inFlight > 0 || !of.spent(now) {
		return nil
	}
	return longer(nil, b, of.free-now)
}

func (l *local) state(b budget) *state {
	of := l.budgets[string(b.key)]
	if of == nil {
		of = &state{}
		l.budgets[string(b.key)] = of
	}
	return of
}

// queried ends the query of an attempt, which stays in flight. If the query failed, so do the
// attempts that waited for it: one after another, each would wait for the same database.
func (l *local) queried(a *attempt, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endQuery(a, err)
}

func (l *local) endQuery(a *attempt, err error) {
	l.state(a.budgets[0]).querying = nil
	a.query.err = err
	close(a.query.done)
}

// refuse ends an attempt that the database refused, and remembers the refusal. It returns nil if
// the attempt must ask next again, because its budgets were refunded since the query, or may be.
func (l *local) refuse(a *attempt, refused *refusal) (err *ThrottledError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endQuery(a, nil)
	final := false
	for i, b := range a.budgets {
		of := l.state(b)
		if free := refused.free[i]; free > 0 && of.refunds == a.seen[i] {
			a.refused[i] = true
			of.free, of.until = free, min(free, refused.at+remembered.Microseconds())
			final = final || of.inFlight == 1 // this attempt
			err = longer(err, b, free-refused.at)
		}
		l.leave(b, of, refused.at)
	}
	if !final {
		return nil
	}
	return err
}

// end ends an attempt that was in flight.
func (l *local) end(budgets []budget, refunded bool, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range budgets {
		of := l.state(b)
		if refunded {
			of.refund()
		}
		l.leave(b, of, now)
	}
}

func (s *state) refund() {
	s.refunds++
	s.until = 0
}

func (l *local) leave(b budget, of *state, now int64) {
	of.inFlight--
	of.wake()
	if of.inFlight == 0 && (!of.spent(now) || !l.hasRoom(now)) {
		delete(l.budgets, string(b.key))
	}
}

// hasRoom reports whether another refusal may be remembered. If there are too many, it deletes the
// outdated ones.
func (l *local) hasRoom(now int64) bool {
	if len(l.budgets) <= mostRemembered {
		return true
	}
	for key, of := range l.budgets {
		if of.inFlight == 0 && !of.spent(now) {
			delete(l.budgets, key)
		}
	}
	return len(l.budgets) <= mostRemembered
}

// forget forgets a refusal, because the budget was made full again.
func (l *local) forget(key []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := l.budgets[string(key)]; of != nil {
		of.refund()
		of.wake()
		if of.inFlight == 0 {
			delete(l.budgets, string(key))
		}
	}
}
