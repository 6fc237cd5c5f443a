package throttle

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// A limited number of refusals is remembered. Outdated ones make room for others.
func TestRememberedRefusalsAreLimited(t *testing.T) {
	l := local{budgets: make(map[string]*state)}
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC).UnixMicro()
	queried := 0
	try := func(i int) {
		t.Helper()
		a := newAttempt([]budget{{row: row{key: []byte(fmt.Sprint(i))}}})
		throttled, change := l.next(a, now)
		if change != nil {
			t.Fatal("an attempt waits")
		}
		if throttled == nil {
			queried++
			throttled = l.refuse(a, &refusal{at: now, free: []int64{now + time.Minute.Microseconds()}})
		}
		if throttled == nil || throttled.RetryAfter != time.Minute {
			t.Fatalf("attempt %d: %v", i, throttled)
		}
	}
	for _, queries := range []int{mostRemembered + 10, 10} {
		queried = 0
		for i := range mostRemembered + 10 {
			try(i)
		}
		if queried != queries || len(l.budgets) != mostRemembered {
			t.Errorf("%d queries, want %d; %d budgets are remembered", queried, queries, len(l.budgets))
		}
	}
	now += remembered.Microseconds()
	queried = 0
	for range 2 {
		try(-1)
	}
	if queried != 1 || len(l.budgets) != 1 {
		t.Errorf("a second later: %d queries, %d budgets are remembered", queried, len(l.budgets))
	}
	// Only the budget that refused an attempt is remembered.
	other := newAttempt([]budget{{row: row{key: []byte("other")}}, {row: row{key: []byte("-1")}}})
	if throttled, _ := l.next(other, now); throttled == nil || len(l.budgets) != 1 {
		t.Errorf("%v, %d budgets are remembered", throttled, len(l.budgets))
	}
}

// A refusal writes nothing, not even if this process does not remember it.
func TestRefusalWritesNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
		th := New(Config{DB: db, Key: []byte("a key"), Now: func() time.Time { return now }})
		limit := Limit{Name: "one", Burst: 1, Per: time.Hour}
		wide := Charge{Limit: Limit{Name: "wide", Burst: 100, Per: time.Hour}, Subject: "network", Distinct: "ada"}
		reservation, err := th.Reserve(t.Context(), Charge{Limit: limit, Subject: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		reservation.End()
		rows := func() (rows []stored) {
			if err := db.WithContext(t.Context()).Table("throttle").Order("key").Find(&rows).Error; err != nil {
				t.Fatal(err)
			}
			return rows
		}
		before := rows()
		for range 3 {
			_, err := th.Reserve(t.Context(), wide, Charge{Limit: limit, Subject: "ada"})
			if throttled, ok := err.(*ThrottledError); !ok || throttled.Limit != limit.Name { //nolint:errorlint // not wrapped
				t.Errorf("not refused: %v", err)
			}
			now = now.Add(2 * remembered)
		}
		if after := rows(); len(before) != 1 || !reflect.DeepEqual(after, before) {
			t.Errorf("refusals changed the rows %v to %v", before, after)
		}
	})
}

// A refusal is not known while an attempt in flight may be refunded.
func TestRefusedWithAnAttemptInFlight(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC).UnixMicro()
	b := budget{row: row{key: []byte("a")}}
	of := &state{inFlight: 1, free: now + 5, until: now + 5}
	l := local{budgets: map[string]*state{"a": of}}
	if err := l.refused(b, now); err != nil {
		t.Errorf("%v", err)
	}
	of.inFlight = 0
	if err := l.refused(b, now); err == nil || err.RetryAfter != 5*time.Microsecond {
		t.Errorf("%v", err)
	}
	if err := l.refused(b, now+5); err != nil {
		t.Errorf("when it allows an attempt: %v", err)
	}
}

// A budget that was refunded while the database was queried may allow an attempt: it asks again.
func TestRefundDuringAQuery(t *testing.T) {
	l := local{budgets: make(map[string]*state)}
	budgets := []budget{{row: row{key: []byte("first of one")}}, {row: row{key: []byte("shared")}}}
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC).UnixMicro()
	inFlight := newAttempt(budgets)
	a := newAttempt([]budget{{row: row{key: []byte("first of another")}}, budgets[1]})
	for _, a := range []*attempt{inFlight, a} {
		if throttled, change := l.next(a, now); throttled != nil || change != nil {
			t.Fatalf("does not query: %v, %v", throttled, change)
		}
	}
	l.queried(inFlight, nil)
	l.end(budgets, true, now)
	if throttled := l.refuse(a, &refusal{at: now, free: []int64{0, now + time.Hour.Microseconds()}}); throttled != nil {
		t.Errorf("refused: %v", throttled)
	}
	if throttled, change := l.next(a, now); throttled != nil || change != nil {
		t.Errorf("does not query again: %v, %v", throttled, change)
	}
}

// waiting is a context that reports when something waits for it.
type waiting struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *waiting) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}

// If the database fails, the attempts that wait for their turn fail with the one that queries it.
// If only that one was canceled, they do not.
func TestFailedQuery(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		th := New(Config{DB: db, Key: []byte("a key"), Now: time.Now})
		errDown := errors.New("the database is down")
		var queries atomic.Int64
		var mu sync.Mutex
		var first func(tx *gorm.DB) // handles the next query
		handle := func(tx *gorm.DB) {
			queries.Add(1)
			mu.Lock()
			handler := first
			first = nil
			mu.Unlock()
			if handler != nil {
				handler(tx)
			}
		}
		if err := db.WithContext(t.Context()).Callback().Row().Before("*").Register("handle", handle); err != nil {
			t.Fatal(err)
		}
		charge := Charge{Limit: Limit{Name: "many", Burst: 100, Per: time.Hour}, Subject: "ada"}
		reserve := func(ctx context.Context) <-chan error {
			result := make(chan error, 1)
			go func() {
				reservation, err := th.Reserve(ctx, charge)
				if err == nil {
					reservation.End()
				}
				result <- err
			}()
			return result
		}
		// pair starts an attempt, whose query fails with fail, and another one that waits for its turn.
		pair := func(ctx context.Context, fail func() error) (one, other <-chan error) {
			started, failing := make(chan struct{}), make(chan struct{})
			mu.Lock()
			first = func(tx *gorm.DB) {
				close(started)
				<-failing
				_ = tx.AddError(fail())
			}
			mu.Unlock()
			one = reserve(ctx)
			<-started
			w := &waiting{Context: t.Context(), waits: make(chan struct{})}
			other = reserve(w) //nolint:contextcheck // it wraps the context of the test
			<-w.waits
			close(failing)
			return one, other
		}
		one, other := pair(t.Context(), func() error { return errDown })
		if err := <-one; !errors.Is(err, errDown) {
			t.Errorf("the attempt that queries: %v", err)
		}
		if err := <-other; !errors.Is(err, errDown) || queries.Load() != 1 {
			t.Errorf("the attempt that waits: %v, %d queries", err, queries.Load())
		}
		ctx, cancel := context.WithCancel(t.Context())
		one, other = pair(ctx, func() error { cancel(); return context.Canceled })
		if err := <-one; !errors.Is(err, context.Canceled) {
			t.Errorf("the canceled attempt: %v", err)
		}
		if err := <-other; err != nil {
			t.Errorf("the attempt that waited for it: %v", err)
		}
		if len(th.local.budgets) != 0 {
			t.Errorf("%d budgets are left", len(th.local.budgets))
		}
	})
}
