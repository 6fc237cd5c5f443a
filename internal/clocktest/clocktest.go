// Package clocktest provides a clock that a test controls.
package clocktest

import (
	"sync"
	"time"
)

// Clock is a clock that a test can move and stop. The zero value shows the real time. It is safe
// for concurrent use.
type Clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time // zero: running
}

// At returns a clock that is stopped at t.
func At(t time.Time) *Clock { return &Clock{stopped: t} }

// Now returns the real time, or the time at which the clock was stopped, plus what Advance added.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

// Stop stops the clock. From then on only Advance moves it.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped.IsZero() {
		c.stopped = time.Now()
	}
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}
