package bench

import (
	"flag"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	connections = 16
	warmUp      = 500 * time.Millisecond // before each turn
	turn        = time.Second
)

// caller makes one request, or whatever is measured, and checks what came of it.
type caller func() error

// load is what callers got done while they were measured.
type load struct {
	took   []time.Duration // of each call that ended in the time
	calls  float64         // how many calls fit into the time, those at its ends in part
	window time.Duration   // the time
}

// measure has all callers call again and again, and adds what they got done in the window that follows the
// warm-up.
func (l *load) measure(callers []caller, window time.Duration) error {
	from := time.Now().Add(warmUp)
	until := from.Add(window)
	each := make([]load, len(callers))
	var group errgroup.Group
	for i, call := range callers {
		group.Go(func() error { return each[i].repeat(call, from, until) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, one := range each {
		l.took, l.calls = append(l.took, one.took...), l.calls+one.calls
	}
	l.window += window
	return nil
}

// repeat calls until the time is up and counts what was done between from and until. A call that is only
// partly in that time counts in that part: logins take so long that whole ones would be counted by chance.
func (l *load) repeat(call caller, from, until time.Time) error {
	for started := time.Now(); started.Before(until); {
		if err := call(); err != nil {
			return err
		}
		ended := time.Now()
		took, missed := ended.Sub(started), max(0, from.Sub(started))+max(0, ended.Sub(until))
		if took > missed {
			l.calls += float64(took-missed) / float64(took)
		}
		if !ended.Before(from) && ended.Before(until) {
			l.took = append(l.took, took)
		}
		started = ended
	}
	return nil
}

// pace has the callers call in turn, each every interval, and measures each call from when it was due: one that
// is late makes those behind it late.
func (l *load) pace(callers []caller, every, window time.Duration) error {
	from := time.Now()
	each := make([]load, len(callers))
	var group errgroup.Group
	for i, call := range callers {
		first := from.Add(every * time.Duration(i) / time.Duration(len(callers)))
		group.Go(func() error {
			for due := first; due.Before(from.Add(window)); due = due.Add(every) {
				time.Sleep(time.Until(due))
				if err := call(); err != nil {
					return err
				}
				each[i].took = append(each[i].took, time.Since(due))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, one := range each {
		l.took, l.calls = append(l.took, one.took...), l.calls+float64(len(one.took))
	}
	l.window += window
	return nil
}

// perSecond is the rate of calls.
func (l *load) perSecond() float64 { return l.calls / l.window.Seconds() }

// percentile is how long, in milliseconds, that many of a hundred calls took at most (the nearest rank).
func (l *load) percentile(of int) float64 {
	slices.Sort(l.took)
	rank := (len(l.took)*of + 99) / 100
	return l.took[rank-1].Seconds() * 1000
}

// comparison is the load on the server beside that on its floor.
type comparison struct{ floor, server load }

// compare measures both in turns, each for as long as -benchtime says.
func compare(b *testing.B, floor, server []caller) *comparison {
	b.Helper()
	benchtime := benchtimeOf(b)
	var c comparison
	for b.Loop() { // once: it takes longer than -benchtime
		for left := benchtime; left > 0; left -= turn {
			if err := c.floor.measure(floor, min(turn, left)); err != nil {
				b.Fatalf("floor: %v", err)
			}
			if err := c.server.measure(server, min(turn, left)); err != nil {
				b.Fatalf("sesame: %v", err)
			}
		}
	}
	if len(c.floor.took) == 0 || len(c.server.took) == 0 {
		b.Fatal("nothing ended while it was measured: give -benchtime more")
	}
	return &c
}

// benchtimeOf is how long -benchtime says that one thing is to be measured.
func benchtimeOf(b *testing.B) time.Duration {
	b.Helper()
	benchtime, err := time.ParseDuration(flag.Lookup("test.benchtime").Value.String())
	if err != nil {
		b.Fatal("-benchtime must be a duration, such as 3s: what is measured is time, not a number of requests")
	}
	return benchtime
}

// report has the figures printed. floorUnit is the floor's rate; only requests have latencies like the
// server's.
func (c *comparison) report(b *testing.B, floorUnit string) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // not printed: an operation here is the whole measurement
	b.ReportMetric(c.server.perSecond(), "req/s")
	b.ReportMetric(c.server.percentile(50), "p50-ms")
	b.ReportMetric(c.server.percentile(99), "p99-ms")
	b.ReportMetric(c.floor.perSecond(), floorUnit)
	if floorUnit == "floor-req/s" {
		b.ReportMetric(c.floor.percentile(50), "floor-p50-ms")
		b.ReportMetric(c.floor.percentile(99), "floor-p99-ms")
	}
	b.ReportMetric(c.server.perSecond()/c.floor.perSecond(), "ratio")
}
