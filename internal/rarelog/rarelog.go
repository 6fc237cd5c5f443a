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
	log func(count int, latest error)

	mu     sync.Mutex
	count  int // since it was logged
	latest error
	timer  *time.Timer // runs while the event was logged less than an interval ago
}

// New returns an Event. log is called with how often the event has happened since the last call,
// and with the latest error.
func New(log func(count int, latest error)) *Event { return &Event{log: log} }

// Happened counts the event. The first one is logged at once, and the others together at the end
// of each interval.
func (e *Event) Happened(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	e.latest = err
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
	e.log(e.count, e.latest)
	e.count, e.latest = 0, nil
	e.timer = time.AfterFunc(Interval, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.flush()
	})
}
