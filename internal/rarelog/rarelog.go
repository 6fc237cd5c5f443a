// Package rarelog logs events that can happen thousands of times a second, such as a request that
// is refused during a flood, without flooding the log.
package rarelog

import (
	"sync"
	"time"
)

// Interval is how often an event is logged that goes on happening.
const Interval = time.Minute

// Event is something that happens often or never. It is safe for concurrent use.
type Event struct {
	log func(count int)

	mu    sync.Mutex
	count int         // since it was logged
	timer *time.Timer // runs while the event was logged less than an interval ago
}

// New returns an Event. log is called with how often the event has happened since the last call.
func New(log func(count int)) *Event { return &Event{log: log} }

// Happened counts the event. The first one is logged at once, and the others together at the end
// of each interval.
func (e *Event) Happened() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	if e.timer == nil {
		e.flush()
	}
}

// flush logs the events that were not logged yet, and again after the interval.
func (e *Event) flush() {
	if e.count == 0 {
		e.timer = nil // the next one is logged at once
		return
	}
	e.log(e.count)
	e.count = 0
	e.timer = time.AfterFunc(Interval, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.flush()
	})
}
