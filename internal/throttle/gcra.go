package throttle

// The generic cell rate algorithm (GCRA), as a pure function. Times are in microseconds.
//
// A budget is one number, its theoretical arrival time (TAT): when it will be full again. Each
// attempt adds one emission interval to the TAT. An attempt is refused if the TAT is further ahead
// of now than the burst tolerance.

// gcra is the algorithm for one limit.
type gcra struct {
	interval  int64 // emission interval: the time in which one attempt refills
	tolerance int64 // burst tolerance: how far the TAT may be ahead of now before an attempt is refused
}

func newGCRA(limit Limit) gcra {
	interval := limit.Per.Microseconds() / int64(limit.Burst)
	return gcra{interval: interval, tolerance: interval * int64(limit.Burst-1)}
}

// attempt returns the TAT after an attempt at now. If the attempt is refused, it returns how long
// to wait until one is allowed. The TAT of a new budget is 0.
func (g gcra) attempt(tat, now int64) (next, wait int64) {
	tat = g.believed(tat, now)
	if wait := g.wait(tat, now); wait > 0 {
		return tat, wait
	}
	return max(tat, now) + g.interval, 0
}

// wait returns how long it takes until an attempt is allowed, 0 if one is allowed now.
func (g gcra) wait(tat, now int64) int64 { return max(0, g.believed(tat, now)-g.tolerance-now) }

// maxAhead is how far the clocks of other instances may be ahead, in microseconds.
const maxAhead = 60e6

// believed returns the TAT, unless it is later than that of a budget of which nothing is left, even
// on an instance whose clock is ahead as far as it may be. Such a TAT was stored while a clock was
// wrong. It counts as that of a budget with one attempt left: a legitimate one is refunded, so
// nobody is locked out, and somebody who guesses gains little.
func (g gcra) believed(tat, now int64) int64 {
	if tat > now+g.tolerance+g.interval+maxAhead {
		return now + g.tolerance
	}
	return tat
}

// refund returns how much to subtract from the TAT for an attempt that moved it on from base.
// Without the attempt the budget would have been full since base, and a full budget does not
// refill. So the time since base is not refunded: an attempt and its refund never gain anything.
func (g gcra) refund(base, now int64) int64 { return max(0, g.interval-max(0, now-base)) }
