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

// caller makes one call, such as a request, and returns an error if it failed.
type caller func() error

// load is the result of a measurement.
type load struct {
	took   []time.Duration // the duration of each call that ended within the window
	calls  float64         // in the window; calls that are partly in it count in part
	window time.Duration   // the duration of the measurement
}

// measure runs all callers in loops, and adds what they did in the window after the warm-up.
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

// repeat calls in a loop, and counts the calls between from and until. Calls that are only partly
// in this window count in part: logins are slow, so counting only complete ones would add a random
// error.
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

// pace runs each caller at a fixed interval, evenly staggered. The duration of a call starts when
// it was due, so a slow call also increases the durations of the following ones.
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

// perSecond returns the number of calls per second.
func (l *load) perSecond() float64 { return l.calls / l.window.Seconds() }

// percentile returns a percentile of the durations (nearest rank), in milliseconds.
func (l *load) percentile(percent int) float64 {
	slices.Sort(l.took)
	rank := (len(l.took)*percent + 99) / 100
	return l.took[rank-1].Seconds() * 1000
}

// comparison contains the results of the server and of its floor.
type comparison struct{ floor, server load }

// compare measures both in turns, each for the duration of -benchtime.
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
		b.Fatal("no call ended during the measurement: increase -benchtime")
	}
	return &c
}

// benchtimeOf returns the value of -benchtime.
func benchtimeOf(b *testing.B) time.Duration {
	b.Helper()
	benchtime, err := time.ParseDuration(flag.Lookup("test.benchtime").Value.String())
	if err != nil {
		b.Fatal("-benchtime must be a duration, such as 3s, not a number of iterations")
	}
	return benchtime
}

// report prints the results. floorUnit is the unit of the floor's rate. If it is floor-req/s, the
// floor has latencies, too.
func (c *comparison) report(b *testing.B, floorUnit string) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
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
