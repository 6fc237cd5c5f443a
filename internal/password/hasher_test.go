package password

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHasher(t *testing.T) {
	h := NewHasher(Config{AtOnce: 1, Wait: time.Hour})
	hash, err := h.Hash(t.Context(), New{"correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"correct horse": true, "another": false} {
		if got, err := h.Verify(t.Context(), password, hash); got != want || err != nil {
			t.Errorf("%q: %v, %v", password, got, err)
		}
	}
	if _, err := h.Verify(t.Context(), "correct horse", "damaged"); !errors.Is(err, ErrHash) {
		t.Error(err)
	}
	if again, err := h.Rehash(t.Context(), "correct horse"); err != nil || again == hash || h.Outdated(again) {
		t.Errorf("%q, %v", again, err)
	}
	if _, err := h.Rehash(t.Context(), "\a"); !errors.Is(err, ErrCharacters) {
		t.Error(err)
	}
}

// The parameters belong to the hasher: what is current for one is outdated for another.
func TestParameters(t *testing.T) {
	weak, normal := NewHasher(Config{Parameters: WeakParameters}), NewHasher(Config{})
	for _, test := range []struct {
		hasher, other *Hasher
	}{{weak, normal}, {normal, weak}} {
		hash := test.hasher.Unmatched()
		if test.hasher.Outdated(hash) || !test.other.Outdated(hash) {
			t.Errorf("%s: outdated for its hasher %v, for the other %v", hash, test.hasher.Outdated(hash), test.other.Outdated(hash))
		}
	}
}

// withWork returns a hasher whose hashes are calls of work.
func withWork(atOnce int, wait time.Duration, work func()) *Hasher {
	h := NewHasher(Config{AtOnce: atOnce, Wait: wait})
	h.run = func(request) (response, error) { work(); return response{}, nil }
	return h
}

func (h *Hasher) work(ctx context.Context) error {
	_, err := h.do(ctx, request{})
	return err
}

func TestNoMoreThanTheMostAtOnce(t *testing.T) {
	const most, calls = 3, 30
	var running, done atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	h := withWork(most, time.Hour, func() {
		now := running.Add(1)
		if now > most {
			t.Errorf("%d at once", now)
		}
		if now == most && done.Load() == 0 {
			full <- struct{}{}
		}
		<-release
		done.Add(1)
		running.Add(-1)
	})
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if err := h.work(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	<-full // as many as may are running
	close(release)
	all.Wait()
	if done.Load() != calls {
		t.Errorf("%d of %d calls", done.Load(), calls)
	}
}

// watchedContext reports when somebody starts to wait for its end.
type watchedContext struct {
	context.Context
	once    sync.Once
	watched chan struct{}
}

func (c *watchedContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.watched) })
	return c.Context.Done()
}

func TestWaitingEnds(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var ran atomic.Int32
	h := withWork(1, time.Hour, func() {
		if ran.Add(1) == 1 {
			close(held)
			<-release
		}
	})
	ended := make(chan error)
	go func() { ended <- h.work(t.Context()) }()
	<-held
	impatient := withWork(1, time.Nanosecond, func() { t.Error("out of turn") })
	impatient.turns = h.turns
	if err := impatient.work(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("waited too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	looking := &watchedContext{Context: ctx, watched: make(chan struct{})}
	go func() { waiting <- h.work(looking) }()
	<-looking.watched
	cancel()
	if err := <-waiting; !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for range 20 { // the turn is free, but not for a caller who has gone
		if err := h.work(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
	}
	if err := h.work(t.Context()); err != nil || ran.Load() != 2 {
		t.Errorf("the turn was not given back: %v, %d calls ran", err, ran.Load())
	}
}

func TestLoad(t *testing.T) {
	release := make(chan struct{})
	h := withWork(1, time.Hour, func() { <-release })
	expect := func(running, waiting int) {
		t.Helper()
		deadline := time.Now().Add(10 * time.Second)
		for {
			isRunning, isWaiting := h.Load()
			if isRunning == running && isWaiting == waiting {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d run and %d wait, not %d and %d", isRunning, isWaiting, running, waiting)
			}
			time.Sleep(time.Millisecond)
		}
	}
	expect(0, 0)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := h.work(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	expect(1, 2)
	release <- struct{}{}
	expect(1, 1)
	close(release)
	all.Wait()
	expect(0, 0)
}
