package bench

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	var l load
	slow := func() error { time.Sleep(5 * time.Millisecond); return nil }
	for range 2 {
		if err := l.measure([]caller{slow, slow}, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	// A busy machine may make a sleep longer, never shorter.
	if got := l.perSecond(); got <= 0 || got > 400 {
		t.Errorf("two callers of 5 ms made %.0f calls a second", got)
	}
	if got := l.percentile(50); got < 5 {
		t.Errorf("a call of 5 ms took %.1f ms", got)
	}
	failing := func() error { return errors.ErrUnsupported }
	if err := l.measure([]caller{slow, failing}, time.Millisecond); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a failed call: %v", err)
	}
}

func TestLoadCountsTheEndsInPart(t *testing.T) {
	var l load
	from := time.Now().Add(20 * time.Millisecond)
	// One call that began before the time and ends after it.
	call := func() error { time.Sleep(time.Until(from.Add(200 * time.Millisecond))); return nil }
	if err := l.repeat(call, from, from.Add(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if len(l.took) != 0 || l.calls <= 0 || l.calls >= 0.6 {
		t.Errorf("less than half of a call counts as %.2f calls, %d of which ended", l.calls, len(l.took))
	}
}

// A call that is due while another one lasts is late, and its lateness counts.
func TestPace(t *testing.T) {
	var l load
	calls := 0
	slowAtFirst := func() error {
		if calls++; calls == 1 {
			time.Sleep(35 * time.Millisecond)
		}
		return nil
	}
	if err := l.pace([]caller{slowAtFirst}, 10*time.Millisecond, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if calls != 10 || len(l.took) != 10 {
		t.Fatalf("%d calls, of which %d are counted", calls, len(l.took))
	}
	for i, least := range []time.Duration{35 * time.Millisecond, 25 * time.Millisecond, 15 * time.Millisecond} {
		if l.took[i] < least {
			t.Errorf("call %d took %s from when it was due, at least %s", i, l.took[i], least)
		}
	}
	failing := func() error { return errors.ErrUnsupported }
	if err := l.pace([]caller{failing}, time.Millisecond, time.Millisecond); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a failed call: %v", err)
	}
}

func TestPercentile(t *testing.T) {
	var l load
	for i := range 1000 {
		l.took = append(l.took, time.Duration(1000-i)*time.Millisecond)
	}
	for of, want := range map[int]float64{50: 500, 99: 990, 100: 1000} {
		if got := l.percentile(of); got != want {
			t.Errorf("percentile %d: %v, want %v", of, got, want)
		}
	}
	if one := (&load{took: []time.Duration{time.Second}}); one.percentile(50) != 1000 || one.percentile(99) != 1000 {
		t.Error("of one call, every percentile is that call")
	}
}

func TestConnection(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/greet":
			_, _ = w.Write([]byte("hello " + r.Header.Get("Name")))
		case "/chunked":
			_, _ = w.Write([]byte("he"))
			_ = http.NewResponseController(w).Flush()
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	c := dial(t, server.Listener.Addr().String())
	for range 2 { // on one connection
		if body, err := c.ask(post("/greet", "Name: Ada\r\n", ""), 200); err != nil || string(body) != "hello Ada" {
			t.Fatalf("%q, %v", body, err)
		}
		if _, err := c.ask(post("/absent", "", "{}"), 200); err == nil || !strings.Contains(err.Error(), "404") {
			t.Fatalf("a 404 that was to be a 200: %v", err)
		}
	}
	if _, err := c.ask(post("/chunked", "", ""), 200); err == nil {
		t.Error("an answer without its length was taken")
	}
}
