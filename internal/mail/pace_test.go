package mail

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// attempts runs attempts one after the other and returns what the last one changed.
func attempts(p *pace, results ...error) (last change) {
	for i, result := range results {
		p.force()
		last = p.finish(fmt.Sprint(i), result, noon)
	}
	return last
}

// An email at a time is enough to find out that the server is down, or up again.
func TestPaceOfAnIdleServer(t *testing.T) {
	for _, failed := range []error{ErrUnreachable, ErrUnavailable} {
		p := newPace()
		if attempts(p, nil, failed) != wentDown || attempts(p, failed, failed) != nothing {
			t.Errorf("%v: the server is not down", failed)
		}
		if p.start(t.Context()) {
			t.Errorf("%v: started", failed)
		}
		if attempts(p, errNothingToSend, ErrMalformed, context.Canceled) != nothing {
			t.Error("up again without a reply of the server")
		}
		if attempts(p, nil) != recovered || attempts(p, nil) != nothing || !p.start(t.Context()) {
			t.Errorf("%v: the server is not up again", failed)
		}
	}
	if p := newPace(); attempts(p, ErrUnavailable, ErrRejected) != recovered {
		t.Error("a server that rejects a recipient is not up")
	}
}

// Three emails that are deferred in a row mean that the server is down, but not one that is
// deferred again.
func TestPaceOfDeferredEmails(t *testing.T) {
	p := newPace()
	if attempts(p, ErrDeferred, ErrDeferred, nil, ErrDeferred, ErrDeferred) != nothing {
		t.Error("down although an email was sent")
	}
	p.force()
	if p.finish("4", ErrDeferred, noon) != nothing {
		t.Error("down because of an email that was deferred again")
	}
	if attempts(newPace(), ErrDeferred, ErrDeferred, ErrDeferred) != wentDown {
		t.Error("not down")
	}
}

// A server that accepts only three connections is not down.
func TestPaceOfALimitedServer(t *testing.T) {
	p := newPace()
	for range workers {
		if !p.start(t.Context()) {
			t.Fatal("not started")
		}
	}
	sent, downs := 0, 0
	for range 1000 {
		running := p.running
		for range max(running-3, 0) {
			if p.finish("", ErrUnavailable, noon) == wentDown {
				downs++
			}
		}
		for range min(running, 3) {
			p.finish("", nil, noon)
			sent++
		}
		for p.running < p.limit && !p.isDown {
			p.start(t.Context())
		}
	}
	if p.isDown || downs != 1 || sent < 1500 {
		t.Errorf("down %v, %d times; sent %d of 3000", p.isDown, downs, sent)
	}
}

// A server that cannot be reached is tried every second, one that replies less and less often.
func TestPaceWaits(t *testing.T) {
	for _, test := range []struct {
		result       error
		outage, want time.Duration
	}{
		{ErrUnreachable, 0, time.Second},
		{ErrUnreachable, 10 * time.Hour, time.Second},
		{ErrUnavailable, 30 * time.Second, time.Second},
		{ErrUnavailable, 5 * time.Minute, 10 * time.Second},
		{ErrUnavailable, 10 * time.Hour, time.Minute},
	} {
		p := newPace()
		attempts(p, test.result)
		if wait, down := p.down(noon.Add(test.outage)); !down || wait != test.want {
			t.Errorf("%v, after %v: %v, %v", test.result, test.outage, wait, down)
		}
	}
}

func TestPaceStopsWaiting(t *testing.T) {
	p := newPace()
	for range workers {
		p.start(t.Context())
	}
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan bool)
	go func() { started <- p.start(ctx) }()
	p.finish("", nil, noon)
	if !await(t, started) {
		t.Error("not started when another email was sent")
	}
	go func() { started <- p.start(ctx) }()
	cancel()
	if await(t, started) {
		t.Error("started at the end")
	}
}
