package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
)

const (
	// checkInterval is how often a server checks that the database accepts writes.
	checkInterval = 2 * time.Second
	// checkTimeout is how long a check may take.
	checkTimeout = 5 * time.Second
)

var (
	errDraining  = errors.New("shutting down")
	errUnchecked = errors.New("starting")
	errLate      = errors.New("the check of the database does not return")
)

// health is the result of the latest check of the database. The checks run in the background, so
// that a probe costs nothing, however often it comes and however slow the database is.
type health struct {
	mu       sync.Mutex
	err      error  // errUnchecked before the first check
	failures int    // in a row
	onReady  func() // called after the first check that succeeds; nil: nothing
}

// run checks the database at the interval until ctx is done.
func (h *health) run(ctx context.Context, db *database.DB, log *slog.Logger) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.check(ctx, db, log)
		}
	}
}

// check checks the database once. The timer is for a file system that does not respond, where the
// context does not interrupt the check.
func (h *health) check(ctx context.Context, db *database.DB, log *slog.Logger) {
	late := time.AfterFunc(checkTimeout+time.Second, func() { h.set(errLate, log) })
	defer late.Stop()
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := db.Check(bounded); ctx.Err() == nil {
		h.set(err, log)
	}
}

// set stores the result of a check. It logs the first failure in a row, then one a minute, and the
// end.
func (h *health) set(err error, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
	switch {
	case err != nil:
		if h.failures%int(time.Minute/checkInterval) == 0 {
			log.Error("not ready", "err", err)
		}
		h.failures++
	case h.failures > 0:
		h.failures = 0
		log.Info("ready again")
	}
	if err == nil && h.onReady != nil {
		h.onReady()
		h.onReady = nil
	}
}

// ready returns nil if the latest check succeeded.
func (h *health) ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
