package password

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrBusy says that a hash did not get its turn in time. Nothing was done; the same call may succeed later.
var ErrBusy = errors.New("too many passwords are being hashed")

// Hasher hashes and verifies a bounded number of passwords at once. A hash takes a core and its memory for as
// long as it runs, and anybody may ask for one by logging in: without a bound, a flood of logins takes the
// machine's memory, and each of them waits for all the others.
type Hasher struct {
	turns chan struct{}
	wait  time.Duration
	calls atomic.Int64 // running and waiting
}

// NewHasher makes a hasher of at most atOnce hashes at once, for each of which a call waits no longer than wait.
// With atOnce 0 every call ends in ErrBusy. More hashes than processors take more memory and finish no sooner.
func NewHasher(atOnce int, wait time.Duration) *Hasher {
	return &Hasher{turns: make(chan struct{}, atOnce), wait: wait}
}

// Load is how many hashes run just now, and how many calls wait for their turn.
func (h *Hasher) Load() (running, waiting int) {
	running = len(h.turns)
	return running, max(0, int(h.calls.Load())-running) // the two may change in between
}

// Hash is the package's Hash when its turn comes. Errors: ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password New) (hash string, err error) {
	err = h.inTurn(ctx, func() { hash = Hash(password) })
	return hash, err
}

// Rehash is the package's Rehash when its turn comes. Errors: ErrBusy, ErrCharacters.
func (h *Hasher) Rehash(ctx context.Context, password string) (hash string, err error) {
	var failed error
	err = h.inTurn(ctx, func() { hash, failed = Rehash(password) })
	return hash, errors.Join(err, failed)
}

// Verify is the package's Verify when its turn comes. Errors: ErrBusy, ErrHash.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (matches bool, err error) {
	var failed error
	err = h.inTurn(ctx, func() { matches, failed = Verify(password, hash) })
	return matches, errors.Join(err, failed)
}

// inTurn calls do when fewer than the most are running. When ctx ends, waiting ends; a call of do cannot be
// stopped. Errors: ErrBusy, and with it what ended ctx.
func (h *Hasher) inTurn(ctx context.Context, do func()) error {
	if err := ctx.Err(); err != nil { // of a free turn and an ended context, select would take either
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	h.calls.Add(1)
	defer h.calls.Add(-1)
	longest := time.NewTimer(h.wait)
	defer longest.Stop()
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	case <-longest.C:
		return ErrBusy
	}
	defer func() { <-h.turns }()
	do()
	return nil
}
