package password

import (
	"container/list"
	"context"
	"sync"
)

// gate lets a limited number of calls through at once. The others wait in two queues, each first
// come, first served. Calls in the first queue go first.
type gate struct {
	mu     sync.Mutex
	free   int             // calls that may still enter
	first  list.List       // of *waiter
	others list.List       // of *waiter
	names  map[string]bool // of the waiters in the first queue
}

type waiter struct {
	turn chan struct{} // closed when it is the call's turn
	name string        // in the first queue: see Preferred
}

func newGate(atOnce int) *gate { return &gate{free: atOnce, names: make(map[string]bool)} }

// enter waits for a turn. It returns the error of ctx if ctx is done first.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // a free turn is not enough
		return err
	}
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	w := &waiter{turn: make(chan struct{})}
	queue := &g.others
	if name, _ := ctx.Value(preferredKey{}).(string); name != "" && !g.names[name] {
		w.name, g.names[name], queue = name, true, &g.first
	}
	place := queue.PushBack(w)
	g.mu.Unlock()
	select {
	case <-w.turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.turn: // at the same time
		g.next()
	default:
		queue.Remove(place)
		delete(g.names, w.name)
	}
	return ctx.Err()
}

// leave gives the turn of a call to the next one.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next()
}

func (g *gate) next() {
	queue := &g.first
	if queue.Len() == 0 {
		queue = &g.others
	}
	place := queue.Front()
	if place == nil {
		g.free++
		return
	}
	if w, ok := queue.Remove(place).(*waiter); ok { // the queues have nothing else
		delete(g.names, w.name)
		close(w.turn)
	}
}

type preferredKey struct{}

// Preferred returns a context whose calls of a [Hasher] take their turn before those of other
// contexts. Of several calls that wait at the same time, only one for each name does, so that
// nobody fills the queue.
func Preferred(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, preferredKey{}, name)
}
