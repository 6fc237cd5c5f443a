package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// writes is a database with the table written, whose writer is under test.
type writes struct {
	*DB

	t       *testing.T
	running sync.WaitGroup
}

func newWrites(t *testing.T) *writes {
	t.Helper()
	db, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "sesame.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	create := `CREATE TABLE written (
		name TEXT PRIMARY KEY, other TEXT REFERENCES written (name) DEFERRABLE INITIALLY DEFERRED)`
	if _, err := db.writer.pool.ExecContext(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	return &writes{DB: db, t: t}
}

// insert returns a write that inserts a row.
func insert(name string) func(*sql.Tx) error {
	return func(tx *sql.Tx) error { return exec(tx, "INSERT INTO written (name) VALUES (?)", name) }
}

func exec(tx *sql.Tx, statement string, args ...any) error {
	_, err := tx.ExecContext(context.Background(), statement, args...)
	return err
}

// together calls the writes so that they share one transaction, in this order. It returns their
// errors.
func (w *writes) together(works ...func(*sql.Tx) error) []error {
	w.t.Helper()
	proceed := w.block()
	errs := make([]error, len(works))
	for i, work := range works {
		w.running.Go(func() { errs[i] = w.writer.write(w.t.Context(), work) })
		w.awaitWaiting(i + 1)
	}
	proceed()
	w.running.Wait()
	return errs
}

// block starts a write that returns when proceed is called. Others have to wait for it.
func (w *writes) block() (proceed func()) {
	w.t.Helper()
	started, blocked := make(chan struct{}), make(chan struct{})
	w.running.Go(func() {
		err := w.writer.write(w.t.Context(), func(*sql.Tx) error {
			select {
			case <-started: // it runs again, as the group has failed
			default:
				close(started)
			}
			<-blocked
			return nil
		})
		if err != nil {
			w.t.Error(err)
		}
	})
	<-started
	return func() { close(blocked) }
}

// awaitWaiting returns when n writes wait for their turn.
func (w *writes) awaitWaiting(n int) {
	for ; ; time.Sleep(100 * time.Microsecond) {
		w.writer.mu.Lock()
		waiting := len(w.writer.waiting)
		w.writer.mu.Unlock()
		if waiting == n {
			return
		}
	}
}

// rows returns the rows that a reader finds.
func (w *writes) rows() (names []string) {
	w.t.Helper()
	if err := w.WithContext(w.t.Context()).Raw("SELECT name FROM written ORDER BY name").Scan(&names).Error; err != nil {
		w.t.Fatal(err)
	}
	return names
}

func (w *writes) expect(rows ...string) {
	w.t.Helper()
	if got := w.rows(); !slices.Equal(got, rows) {
		w.t.Errorf("rows: %v, want %v", got, rows)
	}
}

// Writes that wait share a transaction, in the order of their calls, and at most maxGroup of them.
func TestWritesShareATransaction(t *testing.T) {
	w := newWrites(t)
	var order []int
	transactions := make(map[*sql.Tx]int)
	var works []func(*sql.Tx) error
	for i := range 2 * maxGroup {
		works = append(works, func(tx *sql.Tx) error {
			order = append(order, i) // one at a time, as the race detector confirms
			transactions[tx]++
			return insert(fmt.Sprintf("%03d", i))(tx)
		})
	}
	for i, err := range w.together(works...) {
		if err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if !slices.IsSorted(order) || len(w.rows()) != 2*maxGroup {
		t.Errorf("order %v, %d rows", order, len(w.rows()))
	}
	// The write that blocked them is in the first one, too.
	sizes := []int{}
	for _, size := range transactions {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	if !slices.Equal(sizes, []int{1, maxGroup - 1, maxGroup}) {
		t.Errorf("transactions of %v writes", sizes)
	}
}

// A write does not return before the commit, although others of its group are still running.
func TestWriteWaitsForTheCommit(t *testing.T) {
	w := newWrites(t)
	proceed := w.block()
	inserted, returned, finish := make(chan struct{}), make(chan error, 1), make(chan struct{})
	go func() {
		returned <- w.writer.write(t.Context(), func(tx *sql.Tx) error { defer close(inserted); return insert("a")(tx) })
	}()
	w.awaitWaiting(1)
	w.running.Go(func() {
		if err := w.writer.write(t.Context(), func(*sql.Tx) error { <-finish; return nil }); err != nil {
			t.Error(err)
		}
	})
	w.awaitWaiting(2)
	proceed()
	<-inserted
	w.awaitWaiting(0) // the other one has its turn
	select {
	case err := <-returned:
		t.Errorf("the write returned %v before the commit", err)
	default:
	}
	w.expect()
	close(finish)
	if err := <-returned; err != nil {
		t.Error(err)
	}
	w.expect("a")
	w.running.Wait()
}

// A write that fails is undone, and the others of its group are not.
func TestFailedWriteIsUndoneAlone(t *testing.T) {
	w := newWrites(t)
	refuse := errors.New("refused")
	errs := w.together(
		insert("a"),
		func(tx *sql.Tx) error { return errors.Join(insert("b")(tx), refuse) },
		func(tx *sql.Tx) error { return errors.Join(insert("c")(tx), insert("a")(tx)) },
		insert("d"),
	)
	if errs[0] != nil || !errors.Is(errs[1], refuse) || errs[2] == nil || errs[3] != nil {
		t.Errorf("errors: %v", errs)
	}
	w.expect("a", "d")
}

// If the commit fails because of one write, the others are stored nevertheless, and once.
func TestFailedCommit(t *testing.T) {
	w := newWrites(t)
	errs := w.together(
		insert("a"),
		func(tx *sql.Tx) error { return exec(tx, "INSERT INTO written VALUES ('b', 'nothing')") },
		insert("c"),
	)
	failed, ok := errors.AsType[*sqlite.Error](errs[1])
	if errs[0] != nil || !ok || failed.Code() != sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY || errs[2] != nil {
		t.Errorf("errors: %v", errs)
	}
	w.expect("a", "c")
}

// An interrupt in the middle of a write makes SQLite roll back the whole transaction. The other
// writes are stored nevertheless, and those that come later are not affected.
func TestInterruptedWrite(t *testing.T) {
	w := newWrites(t)
	const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
		INSERT INTO written (name) SELECT 'b' || i FROM n`
	ctx, interrupt := context.WithCancel(t.Context())
	errs := w.together(
		insert("a"),
		func(tx *sql.Tx) error {
			if ctx.Err() == nil { // not when it runs again
				time.AfterFunc(20*time.Millisecond, interrupt)
			}
			_, err := tx.ExecContext(ctx, endless)
			return err
		},
		insert("c"),
	)
	if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || errs[2] != nil {
		t.Errorf("errors: %v", errs)
	}
	w.expect("a", "c")
	if err := w.writer.write(t.Context(), insert("d")); err != nil {
		t.Error(err)
	}
	w.expect("a", "c", "d")
}

// A write that panics is undone. The others of its group are stored, and the panic reaches its
// caller.
func TestPanicInAWrite(t *testing.T) {
	w := newWrites(t)
	proceed := w.block()
	var panicked any
	var err error
	w.running.Go(func() {
		defer func() { panicked = recover() }()
		_ = w.writer.write(t.Context(), func(tx *sql.Tx) error { _ = insert("a")(tx); panic("broken") })
	})
	w.awaitWaiting(1)
	w.running.Go(func() { err = w.writer.write(t.Context(), insert("b")) })
	w.awaitWaiting(2)
	proceed()
	w.running.Wait()
	if panicked != "broken" || err != nil {
		t.Errorf("panic %v, error %v", panicked, err)
	}
	w.expect("b")
}

// A write whose context ends while it waits returns, and leaves the others their order.
func TestCanceledWhileWaiting(t *testing.T) {
	w := newWrites(t)
	proceed := w.block()
	ctx, cancel := context.WithCancel(t.Context())
	canceled := make(chan error, 1)
	go func() { canceled <- w.writer.write(ctx, insert("a")) }() //nolint:contextcheck // insert is not canceled
	w.awaitWaiting(1)
	var err error
	w.running.Go(func() { err = w.writer.write(t.Context(), insert("b")) })
	w.awaitWaiting(2)
	cancel()
	if err := <-canceled; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.awaitWaiting(1)
	proceed()
	w.running.Wait()
	if err != nil {
		t.Error(err)
	}
	w.expect("b")
}

// If the last write that waits gives up, the open group is committed nevertheless. Its turn may come
// at the same moment.
func TestLastWriteGivesUp(t *testing.T) {
	w := newWrites(t)
	for range 300 {
		proceed := w.block()
		ctx, cancel := context.WithCancel(t.Context())
		w.running.Go(func() { _ = w.writer.write(ctx, func(*sql.Tx) error { return ctx.Err() }) })
		w.awaitWaiting(1)
		go cancel()
		proceed()
		w.running.Wait()
	}
	if err := w.writer.write(t.Context(), insert("a")); err != nil {
		t.Error(err)
	}
	w.expect("a")
}
