package mail

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	workers   = 16          // emails that are sent at the same time, at most
	failures  = 3           // in a row, after which the mail server is taken for down
	firstWait = time.Second // between two attempts while it is down
	lastWait  = time.Minute // if it replies
)

// pace decides how many emails are sent at the same time, by what the mail server does.
//
// A server that accepts only some connections refuses the others, so an attempt that finds the
// server unavailable halves the number, and an email that was sent adds one. Three such attempts in
// a row, or one while nothing else is being sent, mean that the server is down. So do three
// different emails in a row that it defers: one that is deferred again and again says nothing about
// the others.
//
// While the server is down, one email at a time is tried. If the server cannot be reached, there is
// a second between two attempts. If it replies, for example that the password is wrong, the wait
// grows with the outage, because a server may punish many attempts.
type pace struct {
	mu          sync.Mutex
	limit       int
	running     int
	unavailable int      // attempts in a row that found the server unavailable
	deferred    []string // emails in a row that the server deferred
	isDown      bool
	since       time.Time // the server is down
	replies     bool      // although it is down
	changed     signal
}

// change is what an attempt has changed.
type change int

const (
	nothing   change = iota
	wentDown         // the mail server is down now
	recovered        // the mail server is no longer down
)

func newPace() *pace { return &pace{limit: workers, changed: newSignal()} }

// start waits until another email may be sent. It returns false if ctx is done or the server is
// down.
func (p *pace) start(ctx context.Context) bool {
	for ctx.Err() == nil {
		p.mu.Lock()
		down, free := p.isDown, p.running < p.limit
		if !down && free {
			p.running++
		}
		p.mu.Unlock()
		if down || free {
			return !down
		}
		select {
		case <-ctx.Done():
		case <-p.changed:
		}
	}
	return false
}

// force is like start, but for an attempt while the server is down.
func (p *pace) force() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running++
}

// finish ends an attempt to send the email with this id.
func (p *pace) finish(id string, err error, now time.Time) change {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	down := p.isDown
	switch {
	case err == nil, errors.Is(err, ErrRejected):
		p.limit, p.unavailable, p.deferred, p.isDown = min(p.limit+1, workers), 0, nil, false
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrUnreachable):
		p.limit, p.unavailable = max(p.limit/2, 1), p.unavailable+1
		p.isDown = down || p.unavailable >= failures || p.running == 0
		p.replies = errors.Is(err, ErrUnavailable)
	case errors.Is(err, ErrDeferred):
		if !slices.Contains(p.deferred, id) && len(p.deferred) < failures {
			p.deferred = append(p.deferred, id)
		}
		p.isDown = down || len(p.deferred) >= failures
		p.replies = true
	}
	p.changed.send()
	switch {
	case p.isDown && !down:
		p.since = now
		return wentDown
	case down && !p.isDown:
		return recovered
	}
	return nothing
}

// down reports whether the server is down, and how long to wait for the next attempt.
func (p *pace) down(now time.Time) (wait time.Duration, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.replies {
		return min(max(firstWait, now.Sub(p.since)/30), lastWait), p.isDown
	}
	return firstWait, p.isDown
}

// signal wakes a goroutine. Signals that nobody has received yet count as one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) send() {
	select {
	case s <- struct{}{}:
	default:
	}
}
