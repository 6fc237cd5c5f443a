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
	h := NewHasher(1, time.Hour)
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
	if again, err := h.Rehash(t.Context(), "correct horse"); err != nil || again == hash || Outdated(again) {
		t.Errorf("%q, %v", again, err)
	}
	if _, err := h.Rehash(t.Context(), "\a"); !errors.Is(err, ErrCharacters) {
		t.Error(err)
	}
}

func TestNoMoreThanTheMostAtOnce(t *testing.T) {
	const most, calls = 3, 30
	h := NewHasher(most, time.Hour)
	var running, done atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range calls {
		all.Go(func() {
			if err := h.inTurn(t.Context(), func(*memory) {
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
			}); err != nil {
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

// watchedContext tells when somebody begins to wait for its end.
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
	h := NewHasher(1, time.Hour)
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- h.inTurn(t.Context(), func(*memory) { close(held); <-release })
	}()
	<-held
	never := func(*memory) { t.Error("out of turn") }
	impatient := &Hasher{turns: h.turns, wait: time.Nanosecond}
	if err := impatient.inTurn(t.Context(), never); !errors.Is(err, ErrBusy) {
		t.Errorf("waited too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	looking := &watchedContext{Context: ctx, watched: make(chan struct{})}
	go func() { waiting <- h.inTurn(looking, never) }()
	<-looking.watched
	cancel()
	if err := <-waiting; !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for range 20 { // the turn is free, and not for one who has gone
		if err := h.inTurn(ctx, never); !errors.Is(err, context.Canceled) {
			t.Errorf("gone: %v", err)
		}
	}
	ran := false
	if err := h.inTurn(t.Context(), func(*memory) { ran = true }); err != nil || !ran {
		t.Errorf("the turn was not given back: %v", err)
	}
}

func TestLoad(t *testing.T) {
	h := NewHasher(1, time.Hour)
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
	release := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if err := h.inTurn(t.Context(), func(*memory) { <-release }); err != nil {
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
