package database_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
)

// operation returns a context like that of a request.
func operation(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// write is a write as a request makes it.
func write(ctx context.Context, db *database.DB) error {
	return db.Transaction(ctx, func(tx *gorm.DB) error {
		return tx.Exec("UPDATE counters SET value = value + 1 WHERE id = 1").Error
	})
}

// fillPool opens connections until the pool is full.
func fillPool(t *testing.T, db *database.DB) {
	t.Helper()
	const connections = 20
	var all, started sync.WaitGroup
	started.Add(connections)
	for range connections {
		all.Go(func() {
			err := db.Transaction(t.Context(), func(*gorm.DB) error {
				started.Done()
				started.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// If the server is lost without a reset, every call of a request returns soon, also those that wait
// for a connection, and leaves nothing behind. When the server responds again, so do calls, without
// waiting for every connection that is dead.
func TestSilentServer(t *testing.T) {
	proxy := databasetest.NewProxy(t, databasetest.URL(t, databasetest.Postgres))
	db := open(t, proxy.URL)
	counters(t, db)
	fillPool(t, db)
	goroutines := databasetest.Goroutines()
	proxy.Silence()
	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() {
			if err := db.Ping(operation(t)); !errors.Is(err, database.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	silent := time.Now()
	databasetest.RequireGoroutines(t, goroutines)
	t.Logf("the connections of five calls were closed after another %s", time.Since(silent))
	if took := time.Since(silent); took > 10*time.Second { // pgx waits for 15 seconds
		t.Errorf("closing connections took %s", took)
	}
	var longest atomic.Int64
	for call := range 300 {
		ctx := operation(t)
		calls.Go(func() {
			do := []func() error{func() error { return db.Ping(ctx) }, func() error { return write(ctx, db) }}[call%2]
			started := time.Now()
			err := do()
			took := time.Since(started)
			if !errors.Is(err, database.ErrUnavailable) || took > 7*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
			longest.Store(max(longest.Load(), int64(took)))
		})
	}
	calls.Wait()
	t.Logf("300 calls returned within about %s", time.Duration(longest.Load()))
	proxy.Restore()
	started := time.Now()
	if err := write(operation(t), db); err != nil {
		t.Errorf("the first write after %s: %v", time.Since(started), err)
	}
	t.Logf("the first write after the silence took %s", time.Since(started))
	databasetest.RequireGoroutines(t, goroutines)
}

// If the idle connections are lost, the first call that notices it evicts all of them: further
// calls do not wait for one after the other.
func TestIdleConnectionsAreEvicted(t *testing.T) {
	t.Parallel()
	proxy := databasetest.NewProxy(t, databasetest.URL(t, databasetest.Postgres))
	db := open(t, proxy.URL)
	fillPool(t, db)
	proxy.Forget()
	time.Sleep(1100 * time.Millisecond) // connections that were used a moment ago are not checked
	started := time.Now()
	var nest func(depth int) error // each transaction needs another connection
	nest = func(depth int) error {
		return db.Transaction(operation(t), func(*gorm.DB) error {
			t.Logf("transaction %d began after %s", depth, time.Since(started))
			if depth == 10 {
				return nil
			}
			return nest(depth + 1)
		})
	}
	err := nest(1)
	if took := time.Since(started); err != nil || took > 5*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
}

// When a standby is promoted after its primary was lost, writes soon succeed.
func TestFailover(t *testing.T) {
	primary, standby, err := cluster.StartPair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(primary.Stop(), standby.Stop()); err != nil {
			t.Error(err)
		}
	})
	both, err := cluster.HostsURL(primary, standby)
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, both)
	counters(t, db)
	fillPool(t, db)
	standbyDB := open(t, standby.URL)
	for len(databasetest.Tables(t, standbyDB)) == 0 {
		time.Sleep(10 * time.Millisecond) // the standby has not received it yet
	}
	if err := primary.Pause(); err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	if err := write(operation(t), db); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("without a primary: %v", err)
	}
	t.Logf("without a primary, the first write returned after %s", time.Since(started))
	if took := time.Since(started); took > 8*time.Second {
		t.Errorf("without a primary, a write took %s", took)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	promoted := time.Now()
	tries := 1
	for ; write(operation(t), db) != nil; tries++ {
		if time.Since(promoted) > time.Minute {
			break
		}
	}
	took := time.Since(promoted)
	t.Logf("the first write succeeded %s after the promotion, with try %d", took, tries)
	if took > 8*time.Second {
		t.Errorf("the first write succeeded %s after the promotion", took)
	}
}

// A server that refuses writes for a while, such as a primary that was demoted or whose disk is
// full, is used again as soon as it accepts them: its old connections would remain read-only.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	databaseURL := databasetest.URL(t, databasetest.Postgres)
	admin := open(t, databaseURL)
	counters(t, admin)
	var name string
	if err := admin.WithContext(t.Context()).Raw("SELECT current_database()").Scan(&name).Error; err != nil {
		t.Fatal(err)
	}
	set := func(readOnly string) {
		statement := fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = %s", name, readOnly)
		if err := admin.WithContext(t.Context()).Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	set("on")
	db := open(t, databaseURL)
	fillPool(t, db)
	if err := write(operation(t), db); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("a read-only server: %v", err)
	}
	set("off")
	for range 3 {
		if err := write(operation(t), db); err != nil {
			t.Errorf("the server accepts writes again: %v", err)
		}
	}
}
