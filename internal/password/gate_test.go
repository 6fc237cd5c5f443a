package password

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
)

// waiting returns the number of calls that wait.
func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.first.Len() + g.others.Len()
}

// queue lets a call wait at the gate, and returns when it waits.
func (g *gate) queue(t *testing.T, ctx context.Context, entered func(error)) {
	t.Helper()
	before := g.waiting()
	go func() { entered(g.enter(ctx)) }()
	for g.waiting() == before {
		runtime.Gosched()
	}
}

// Preferred calls go first, but of several with the same name only one does.
func TestPreferredCallsGoFirst(t *testing.T) {
	g := newGate(1)
	if err := g.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	turns := make(chan string)
	queue := func(ctx context.Context, name string) {
		t.Helper()
		g.queue(t, ctx, func(err error) {
			if err != nil {
				t.Error(err)
			}
			turns <- name
		})
	}
	ada, grace := Preferred(t.Context(), "ada"), Preferred(t.Context(), "grace")
	queue(t.Context(), "other 1")
	queue(t.Context(), "other 2")
	queue(ada, "ada 1")
	queue(ada, "ada 2")
	queue(grace, "grace 1")
	queue(t.Context(), "other 3")
	var order []string
	for range 2 {
		g.leave()
		order = append(order, <-turns)
	}
	queue(ada, "ada 3") // the first one does not wait any more
	for range 5 {
		g.leave()
		order = append(order, <-turns)
	}
	want := []string{"ada 1", "grace 1", "ada 3", "other 1", "other 2", "ada 2", "other 3"}
	if !slices.Equal(order, want) {
		t.Errorf("turns: %q, want %q", order, want)
	}
}

// A call that stops waiting leaves its place and its name, and loses no turn.
func TestCanceledCallsLoseNoTurn(t *testing.T) {
	g := newGate(2)
	for range 2 {
		if err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		ctx, cancel := context.WithCancel(Preferred(t.Context(), "ada"))
		result := make(chan error, 1)
		g.queue(t, ctx, func(err error) { result <- err })
		g.mu.Lock() // so that the call gets its turn after it was canceled, and before it sees that
		cancel()
		g.next()
		g.mu.Unlock()
		if err := <-result; err != nil { // otherwise this call took over the turn
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if g.free != 1 {
				t.Fatal("the turn is lost")
			}
			g.free = 0
		}
		if g.waiting() != 0 || len(g.names) != 0 || g.free != 0 {
			t.Fatalf("%d wait, %d names, %d are free", g.waiting(), len(g.names), g.free)
		}
	}
}
