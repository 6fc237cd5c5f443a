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

// Hasher hashes and verifies a bounded number of passwords at once, and on Linux on threads of the lowest
// priority. A hash takes a core and its memory for as long as it runs, and anybody may ask for one by logging in:
// without a bound, a flood of logins takes the machine's memory, and each of them waits for all the others; with
// the priority of other work, it takes the machine's processors from requests that hash nothing.
//
// A thread that hashes holds one of Go's processors (runtime.GOMAXPROCS) whether it runs or not. A program that
// wants the others to go on has as many more of them as hash at once.
type Hasher struct {
	turns chan *memory
	wait  time.Duration
	calls atomic.Int64 // running and waiting
}

// NewHasher makes a hasher of at most atOnce hashes at once, for each of which a call waits no longer than wait.
// With atOnce 0 every call ends in ErrBusy. More hashes than processors take more memory and finish no sooner.
func NewHasher(atOnce int, wait time.Duration) *Hasher {
	h := &Hasher{turns: make(chan *memory, atOnce), wait: wait}
	for range atOnce {
		h.turns <- new(memory)
	}
	return h
}

// Load is how many hashes run just now, and how many calls wait for their turn.
func (h *Hasher) Load() (running, waiting int) {
	running = cap(h.turns) - len(h.turns)
	return running, max(0, int(h.calls.Load())-running) // the two may change in between
}

// Hash makes the PHC string of a new password. Two hashes of one password differ by their salts. Errors: ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password New) (made string, err error) {
	err = h.inTurn(ctx, func(m *memory) { made = hash(password.prepared, m) })
	return made, err
}

// Rehash makes today's hash of a password that Verify has just matched. The policy is not asked: it is for new
// passwords, and this one is its owner's already. Errors: ErrBusy; ErrCharacters, which no matching password
// gives.
func (h *Hasher) Rehash(ctx context.Context, password string) (made string, err error) {
	prepared, err := prepare(password)
	if err != nil {
		return "", ErrCharacters
	}
	err = h.inTurn(ctx, func(m *memory) { made = hash(prepared, m) })
	return made, err
}

// Verify tells whether password is the one that hash was made of. For one hash it takes the same time for every
// password, acceptable by the policy or not. Errors: ErrBusy, ErrHash.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (matches bool, err error) {
	stored, err := parse(hash)
	if err != nil {
		return false, err
	}
	prepared, unusable := prepare(password)
	err = h.inTurn(ctx, func(m *memory) { matches = stored.matches(prepared, m) && unusable == nil })
	return matches, err
}

// inTurn calls do when fewer than the most are running. When ctx ends, waiting ends; a call of do cannot be
// stopped. Errors: ErrBusy, and with it what ended ctx.
func (h *Hasher) inTurn(ctx context.Context, do func(*memory)) error {
	if err := ctx.Err(); err != nil { // of a free turn and an ended context, select would take either
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	h.calls.Add(1)
	defer h.calls.Add(-1)
	longest := time.NewTimer(h.wait)
	defer longest.Stop()
	var m *memory
	select {
	case m = <-h.turns:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	case <-longest.C:
		return ErrBusy
	}
	defer func() { h.turns <- m }()
	atLowPriority(func() { do(m) })
	return nil
}
