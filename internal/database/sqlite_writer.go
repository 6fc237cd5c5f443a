package database

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
)

// maxGroup is how many writes may share one transaction.
const maxGroup = 64

// sqliteWriter runs writes one after another, in the order in which they were called. Those that
// wait for each other share one transaction: to sync the disk at the commit takes longer than all of
// them. This is called group commit.
//
// No write returns before the commit, so none is reported as stored that is not. Each is undone
// alone if it fails. If the whole transaction fails, each write runs again in one of its own, so
// none fails because of another one.
type sqliteWriter struct {
	pool *sql.DB // of one connection

	mu      sync.Mutex
	busy    bool            // a write has its turn
	waiting []chan struct{} // of the writes that wait; closed when it is their turn

	group *group // the open transaction, or nil; belongs to the write that has its turn
}

// group is a transaction that several writes share.
type group struct {
	tx     *sql.Tx
	writes int
	failed bool          // SQLite has rolled it back
	ended  chan struct{} // closed when err is set
	err    error         // of the commit
}

// write calls work with the transaction of a group, and returns when that was committed. It calls
// work again if the group fails and other writes may be the reason.
func (w *sqliteWriter) write(ctx context.Context, work func(tx *sql.Tx) error) error {
	g, err := w.join(ctx, maxGroup, work)
	if g == nil {
		return err
	}
	if <-g.ended; g.err != nil && g.writes > 1 {
		if g, err = w.join(ctx, 1, work); g == nil {
			return err
		}
		<-g.ended
	}
	if err != nil {
		return err
	}
	return g.err
}

// join waits for its turn and calls work in the open group, or in a new one if there is none or it
// has size writes already. It commits the group unless another write can join it. It returns the
// group and the error of work, or no group if work was not called.
func (w *sqliteWriter) join(ctx context.Context, size int, work func(tx *sql.Tx) error) (*group, error) {
	if err := w.awaitTurn(ctx); err != nil {
		return nil, err
	}
	defer w.endTurn(size)
	if w.group != nil && w.group.writes >= size {
		w.commit()
	}
	if w.group == nil {
		tx, err := w.pool.BeginTx(context.WithoutCancel(ctx), nil) // the group outlives this write
		if err != nil {
			return nil, err
		}
		w.group = &group{tx: tx, ended: make(chan struct{})}
	}
	return w.group, w.group.run(work) //nolint:contextcheck // the savepoints outlive this write
}

// run calls work between savepoints, and undoes what it did if it returns an error or panics.
func (g *group) run(work func(tx *sql.Tx) error) (err error) {
	g.writes++
	if err := g.exec("SAVEPOINT one_write"); err != nil {
		return err
	}
	succeeded := false
	defer func() {
		if !succeeded {
			// Some errors, such as a full disk or an interrupt, roll the transaction back. Then there is
			// no savepoint.
			_ = g.exec("ROLLBACK TO one_write")
		}
		if released := g.exec("RELEASE one_write"); err == nil {
			err = released
		}
	}()
	err = work(g.tx)
	succeeded = err == nil
	return err
}

// exec runs a statement that can only fail if the transaction has failed.
func (g *group) exec(statement string) error {
	if g.failed {
		return nil
	}
	_, err := g.tx.ExecContext(context.Background(), statement)
	g.failed = err != nil
	return err
}

// commit ends the open group.
func (w *sqliteWriter) commit() {
	g := w.group
	w.group = nil
	if g.failed {
		g.err = errGroupFailed
		_ = g.tx.Rollback() // ends it for database/sql
	} else {
		g.err = g.tx.Commit()
	}
	close(g.ended)
}

// errGroupFailed is the error of a group that SQLite has rolled back.
var errGroupFailed = errors.New("the transaction was rolled back")

// awaitTurn returns when it is the caller's turn, or the error of ctx. Turns have the order of the
// calls. database/sql would give its one connection to any of the callers that wait.
func (w *sqliteWriter) awaitTurn(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	if !w.busy {
		w.busy = true
		w.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, turn)
	if i < 0 {
		return nil // it is the caller's turn, who must end it: nobody else commits the group
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return ctx.Err()
}

// endTurn commits the open group, unless another write waits that can join it, and lets the next
// write have its turn.
func (w *sqliteWriter) endTurn(size int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.group != nil && (len(w.waiting) == 0 || w.group.failed || w.group.writes >= size) {
		w.mu.Unlock()
		w.commit() // meanwhile others come, and wait
		w.mu.Lock()
	}
	if len(w.waiting) == 0 {
		w.busy = false
		return
	}
	close(w.waiting[0])
	w.waiting = w.waiting[1:]
}
