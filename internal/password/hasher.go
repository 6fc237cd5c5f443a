package password

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sesame-auth/sesame/internal/tracing"
)

// ErrBusy is returned if a password was not hashed in time. The same call may succeed later.
var ErrBusy = errors.New("too many passwords are being hashed")

// Config configures a Hasher.
type Config struct {
	AtOnce     int           // how many hashes run at once; 0: every call returns ErrBusy
	Wait       time.Duration // how long a call waits for its turn
	Parameters Parameters    // of new hashes; the zero value means DefaultParameters

	Observe func(took time.Duration) // called after each hash; nil: nobody is interested

	// Worker is the command of the child processes that hash: a program that calls ServeWorker, and
	// its arguments. If it is empty or cannot be started, hashes run in this process.
	Worker []string
	Log    *slog.Logger // receives a warning if Worker cannot be started; required with Worker
}

// Hasher hashes and verifies passwords, a limited number at once. It is safe for concurrent use.
type Hasher struct {
	config         Config
	run            func(request) (response, error) // in this process or in a child
	gate           *gate
	calls, running atomic.Int64 // calls: running and waiting

	mu     sync.Mutex
	idle   []*child // the most recently used one is the last
	closed bool
	warn   sync.Once
}

// NewHasher returns a Hasher. Running more hashes at once than there are processors takes more
// memory and is no faster.
func NewHasher(config Config) *Hasher {
	if config.Parameters == (Parameters{}) {
		config.Parameters = DefaultParameters
	}
	h := &Hasher{config: config, run: request.run, gate: newGate(config.AtOnce)}
	if len(config.Worker) > 0 {
		h.run = h.runInChild
	}
	return h
}

// Load returns how many hashes are running, and how many calls are waiting for their turn.
func (h *Hasher) Load() (running, waiting int) {
	running = int(h.running.Load())
	return running, max(0, int(h.calls.Load())-running) // the two may change in between
}

// Hash returns the hash of a new password, with a random salt. It returns ErrBusy.
func (h *Hasher) Hash(ctx context.Context, password New) (hash string, err error) {
	result, err := h.do(ctx, request{Password: []byte(password.prepared), Parameters: h.config.Parameters})
	return result.Hash, err
}

// Rehash returns a new hash of a password that Verify has just matched. The policy does not apply,
// because the password is not new. It returns ErrBusy, or ErrCharacters, which cannot happen for a
// password that matched.
func (h *Hasher) Rehash(ctx context.Context, password string) (hash string, err error) {
	prepared, err := prepare(password)
	if err != nil {
		return "", ErrCharacters
	}
	return h.Hash(ctx, New{prepared})
}

// Verify reports whether hash is the hash of password. The time it takes depends on the hash, but
// not on the password, not even if the policy would refuse it. It returns ErrBusy or ErrHash.
func (h *Hasher) Verify(ctx context.Context, password, hash string) (matches bool, err error) {
	if err := CheckHash(hash); err != nil {
		return false, err
	}
	prepared, unusable := prepare(password)
	result, err := h.do(ctx, request{Password: []byte(prepared), Verify: hash})
	return result.Matches && unusable == nil, err
}

// Unmatched returns a hash that no password matches. Verifying it takes as long as verifying a
// user's current hash.
func (h *Hasher) Unmatched() string { return unmatched(h.config.Parameters) }

// Outdated reports whether hash has another algorithm, cost or size than Hash would use. Such a
// hash should be replaced as soon as its password is known. This includes more expensive hashes: if
// all users have hashes of the same cost, the duration of a login does not reveal whether an email
// has an account.
func (h *Hasher) Outdated(hash string) bool {
	stored, err := parseArgon2(hash)
	return err != nil || stored.variant != argon2id || stored.Parameters != h.config.Parameters ||
		len(stored.salt) != saltBytes || len(stored.sum) != hashBytes
}

// do runs one request when it is its turn. It stops waiting when ctx is done, but does not
// interrupt a hash that has started. It returns ErrBusy, which wraps the error of the context.
func (h *Hasher) do(ctx context.Context, r request) (response, error) {
	h.calls.Add(1)
	defer h.calls.Add(-1)
	waiting, cancel := context.WithTimeout(ctx, h.config.Wait)
	defer cancel()
	called := time.Now()
	if err := h.gate.enter(waiting); err != nil {
		tracing.Record(ctx, "wait for hashing", called, "busy")
		return response{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	tracing.Record(ctx, "wait for hashing", called, "")
	defer h.gate.leave()
	h.running.Add(1)
	defer h.running.Add(-1)
	started := time.Now()
	result, err := h.run(r)
	if h.config.Observe != nil {
		h.config.Observe(time.Since(started))
	}
	failure := ""
	if err != nil {
		failure = "failed"
	}
	tracing.Record(ctx, "hash password", started, failure)
	return result, err
}

// runInChild runs a request in a child process, or in this one if none can be started.
func (h *Hasher) runInChild(r request) (response, error) {
	c := h.takeIdle()
	if c == nil {
		var err error
		if c, err = startChild(h.config.Worker, maxHashTime); err != nil {
			h.warn.Do(func() {
				h.config.Log.Warn("could not start a child process for hashing passwords; hashing in this process, "+
					"where a flood of logins slows down other requests", "err", err)
			})
			return r.run()
		}
	}
	result, err := c.do(r)
	if err != nil {
		c.stop() // it may still respond to this request, instead of the next one
		return response{}, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	h.putIdle(c)
	return result, nil
}

// maxIdle is how long a child process is kept without a request.
const maxIdle = time.Minute

// takeIdle returns the most recently used child, or nil. So the others expire when there is little
// to do.
func (h *Hasher) takeIdle() *child {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.idle) == 0 {
		return nil
	}
	last := len(h.idle) - 1
	c := h.idle[last]
	h.idle = h.idle[:last]
	c.expiry.Stop()
	return c
}

func (h *Hasher) putIdle(c *child) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		c.stop()
		return
	}
	c.expiry = time.AfterFunc(maxIdle, func() { h.expire(c) })
	h.idle = append(h.idle, c)
}

// expire stops a child unless it was taken in the meantime.
func (h *Hasher) expire(c *child) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.idle {
		if h.idle[i] == c {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			c.stop()
			return
		}
	}
}

// Close stops the idle child processes, and the others after their current hash.
func (h *Hasher) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, c := range h.idle {
		c.expiry.Stop()
		c.stop()
	}
	h.idle = nil
}
