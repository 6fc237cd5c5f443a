package password

import (
	"context"
	"errors"
	"strings"
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

// A hash that is current for one hasher is outdated for a hasher with other parameters.
func TestParameters(t *testing.T) {
	weak, normal := NewHasher(Config{Parameters: WeakParameters}), NewHasher(Config{})
	for _, test := range []struct {
		hasher, other *Hasher
	}{{weak, normal}, {normal, weak}} {
		hash := test.hasher.Unmatched()
		if test.hasher.Outdated(hash) {
			t.Errorf("%s is outdated for its hasher", hash)
		}
		if !test.other.Outdated(hash) {
			t.Errorf("%s is not outdated for the other hasher", hash)
		}
	}
}

// A password that the policy cannot prepare is hashed like any other, with the same parameters.
func TestVerifyHashesEveryPassword(t *testing.T) {
	h := NewHasher(Config{AtOnce: 1, Wait: time.Hour})
	var runs []request
	h.run = func(r request) (response, error) {
		runs = append(runs, r)
		return response{Matches: true}, nil
	}
	hash := h.Unmatched()
	passwords := map[string]bool{
		"correct horse": true, "wrong": true, strings.Repeat("a", 1024): true,
		"": false, "\a": false, "\xff": false, "tab\tin the middle": false,
	}
	for password, usable := range passwords {
		runs = nil
		matches, err := h.Verify(t.Context(), password, hash)
		if err != nil || matches != usable {
			t.Errorf("%q: %v, %v", password, matches, err)
		}
		if len(runs) != 1 || runs[0].Verify != hash {
			t.Errorf("%q: hashed %d times, want once against the stored hash", password, len(runs))
		}
	}
}

// withWork returns a hasher that calls work instead of hashing.
func withWork(atOnce int, wait time.Duration, work func()) *Hasher {
	h := NewHasher(Config{AtOnce: atOnce, Wait: wait})
	h.run = func(request) (response, error) { work(); return response{}, nil }
	return h
}

func (h *Hasher) work(ctx context.Context) error {
	_, err := h.do(ctx, request{})
	return err
}

func TestHashesAtOnceAreLimited(t *testing.T) {
	const limit, calls = 3, 30
	var running, done atomic.Int32
	full, release := make(chan struct{}), make(chan struct{})
	h := withWork(limit, time.Hour, func() {
		now := running.Add(1)
		if now > limit {
			t.Errorf("%d at once", now)
		}
		if now == limit && done.Load() == 0 {
			full <- struct{}{}
		}
		<-release
		done.Add(1)
		running.Add(-1)
	})
	var callers sync.WaitGroup
	for range calls {
		callers.Go(func() {
			if err := h.work(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	close(release)
	callers.Wait()
	if done.Load() != calls {
		t.Errorf("%d of %d calls", done.Load(), calls)
	}
}

// watchedContext closes watched at the first call of Done, when somebody starts to wait for it.
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
	started, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	h := withWork(1, time.Hour, func() {
		if calls.Add(1) == 1 {
			close(started)
			<-release
		}
	})
	first := make(chan error)
	go func() { first <- h.work(t.Context()) }()
	<-started
	impatient := withWork(1, time.Nanosecond, func() { t.Error("out of turn") })
	impatient.turns = h.turns
	if err := impatient.work(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("waited too long: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	watched := &watchedContext{Context: ctx, watched: make(chan struct{})}
	go func() { second <- h.work(watched) }()
	<-watched.watched
	cancel()
	if err := <-second; !errors.Is(err, ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for range 20 { // the turn is free, but a canceled caller must not take it
		if err := h.work(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled before: %v", err)
		}
	}
	if err := h.work(t.Context()); err != nil || calls.Load() != 2 {
		t.Errorf("the turn was not released: %v, %d calls", err, calls.Load())
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
				t.Fatalf("%d run and %d wait, want %d and %d", isRunning, isWaiting, running, waiting)
			}
			time.Sleep(time.Millisecond)
		}
	}
	expect(0, 0)
	var callers sync.WaitGroup
	for range 3 {
		callers.Go(func() {
			if err := h.work(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	expect(1, 2)
	release <- struct{}{}
	expect(1, 1)
	close(release)
	callers.Wait()
	expect(0, 0)
}
