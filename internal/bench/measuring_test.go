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
	// A sleep may take longer than requested, but not shorter.
	if got := l.perSecond(); got <= 0 || got > 400 {
		t.Errorf("two callers that take 5 ms made %.0f calls per second", got)
	}
	if got := l.percentile(50); got < 5 {
		t.Errorf("a call that takes 5 ms took %.1f ms", got)
	}
	failing := func() error { return errors.ErrUnsupported }
	if err := l.measure([]caller{slow, failing}, time.Millisecond); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a failed call: %v", err)
	}
}

func TestLoadCountsPartialCalls(t *testing.T) {
	var l load
	from := time.Now().Add(20 * time.Millisecond)
	// The call starts before the window and ends after it.
	call := func() error { time.Sleep(time.Until(from.Add(200 * time.Millisecond))); return nil }
	if err := l.repeat(call, from, from.Add(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if len(l.took) != 0 || l.calls <= 0 || l.calls >= 0.6 {
		t.Errorf("less than half a call counts as %.2f calls, %d of which ended", l.calls, len(l.took))
	}
}

// If a call is due while another one runs, its duration includes the delay.
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
		t.Fatalf("%d calls, of which %d count", calls, len(l.took))
	}
	for i, least := range []time.Duration{35 * time.Millisecond, 25 * time.Millisecond, 15 * time.Millisecond} {
		if l.took[i] < least {
			t.Errorf("call %d took %s, want at least %s", i, l.took[i], least)
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
	for percent, want := range map[int]float64{50: 500, 99: 990, 100: 1000} {
		if got := l.percentile(percent); got != want {
			t.Errorf("percentile %d: %v, want %v", percent, got, want)
		}
	}
	if one := (&load{took: []time.Duration{time.Second}}); one.percentile(50) != 1000 || one.percentile(99) != 1000 {
		t.Error("with one call, every percentile is its duration")
	}
}

func TestConnection(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/greet":
			_, _ = w.Write([]byte("hello " + r.Header.Get("Name")))
		case "/chunked":
			_, _ = w.Write([]byte("hel"))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write([]byte("lo"))
		case "/close":
			w.Header().Set("Connection", "close")
			w.Header().Set("Transfer-Encoding", "identity")
			_, _ = w.Write([]byte("hello"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	c := dial(t, server.Listener.Addr().String())
	for range 2 { // on one connection
		if body, err := c.send(request("/greet", "Name: Ada\r\n", ""), 200); err != nil || string(body) != "hello Ada" {
			t.Fatalf("%q, %v", body, err)
		}
		if _, err := c.send(request("/absent", "", "{}"), 200); err == nil || !strings.Contains(err.Error(), "404") {
			t.Fatalf("a 404, want a 200: %v", err)
		}
	}
	for range 2 {
		if body, err := c.send(get("/chunked", ""), 200); err != nil || string(body) != "hello" {
			t.Fatalf("chunked: %q, %v", body, err)
		}
	}
	if _, err := c.send(get("/close", ""), 200); err == nil {
		t.Error("a response without Content-Length was accepted")
	}
}
