package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/throttle"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var (
	testSecret = secret.Secret("a secret of thirty-two bytes, and more")
	ten        = throttle.Limit{Name: "ten", Burst: 10, Per: 15 * time.Minute} // one more every 90 s
	wide       = throttle.Limit{Name: "wide", Burst: 30, Per: time.Minute}
)

// kit is a throttle over a database of its own, with a clock that stands until it is moved.
type kit struct {
	*throttle.Throttle
	db    *database.DB
	url   string
	clock *atomic.Int64 // microseconds
}

func newKit(t *testing.T, engine databasetest.Engine) *kit {
	t.Helper()
	k := &kit{url: databasetest.URL(t, engine), clock: &atomic.Int64{}}
	k.clock.Store(time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC).UnixMicro())
	return k.open(t)
}

// open is the kit as another instance has it.
func (k *kit) open(t *testing.T) *kit {
	t.Helper()
	db, err := database.Open(t.Context(), k.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	now := func() time.Time { return time.UnixMicro(k.clock.Load()) }
	return &kit{Throttle: throttle.New(throttle.Config{DB: db, Secret: testSecret, Now: now}), db: db, url: k.url, clock: k.clock}
}

func (k *kit) advance(d time.Duration) { k.clock.Add(d.Microseconds()) }

func charge(limit throttle.Limit, subject string) throttle.Charge {
	return throttle.Charge{Limit: limit, Subject: subject}
}

// pass makes n attempts that must pass, and leaves them in flight.
func (k *kit) pass(t *testing.T, n int, charges ...throttle.Charge) (last *throttle.Reservation) {
	t.Helper()
	for i := range n {
		reservation, err := k.Reserve(t.Context(), charges...)
		if err != nil {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
		last = reservation
	}
	return last
}

// spend makes n attempts that must pass, and keeps them.
func (k *kit) spend(t *testing.T, n int, charges ...throttle.Charge) {
	t.Helper()
	for range n {
		k.pass(t, 1, charges...).End()
	}
}

// refuse makes an attempt that must be refused, and tells how long.
func (k *kit) refuse(t *testing.T, charges ...throttle.Charge) time.Duration {
	t.Helper()
	_, err := k.Reserve(t.Context(), charges...)
	throttled, ok := errors.AsType[*throttle.ThrottledError](err)
	if !ok {
		t.Fatalf("not refused: %v", err)
	}
	return throttled.RetryAfter
}

func (k *kit) refund(t *testing.T, reservation *throttle.Reservation) {
	t.Helper()
	defer reservation.End()
	if err := k.db.Transaction(t.Context(), reservation.Refund); err != nil {
		t.Error(err)
	}
}

// Of any number of attempts at once, on two instances, exactly as many pass as there is budget for.
func TestExactInParallel(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		one := newKit(t, engine)
		instances := []*kit{one, one.open(t)}
		var passed, refused atomic.Int64
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 200 {
			all.Go(func() {
				<-start
				reservation, err := instances[i%2].Reserve(t.Context(), charge(wide, "network"), charge(ten, fmt.Sprint(i%3)))
				_, throttled := errors.AsType[*throttle.ThrottledError](err)
				switch {
				case err == nil:
					passed.Add(1)
					reservation.End()
				case throttled:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		if passed.Load() != 30 || refused.Load() != 170 {
			t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
		}
		for i := range 3 {
			if wait := one.refuse(t, charge(ten, fmt.Sprint(i))); wait != 90*time.Second {
				t.Errorf("subject %d waits %s", i, wait)
			}
		}
	})
}

func TestRefill(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada := charge(ten, "ada")
		k.spend(t, 10, ada)
		if wait := k.refuse(t, ada); wait != 90*time.Second {
			t.Errorf("wait %s", wait)
		}
		k.advance(90*time.Second - time.Microsecond)
		if wait := k.refuse(t, ada); wait != time.Microsecond {
			t.Errorf("a moment early: wait %s", wait)
		}
		k.advance(time.Microsecond)
		k.spend(t, 1, ada)
		k.refuse(t, ada)
		k.advance(time.Hour) // refills what there is room for
		k.spend(t, 10, ada)
		k.refuse(t, ada)
		k.spend(t, 10, charge(ten, "grace")) // another subject
		k.spend(t, 30, charge(wide, "ada"))  // another limit, and then one that the cut alone tells from this
		k.spend(t, 10, charge(throttle.Limit{Name: "tenad", Burst: 10, Per: ten.Per}, "a"))
	})
}

// A refusal by one limit takes nothing of the others, and tells the longest wait.
func TestAllOrNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		network, ada := charge(wide, "network"), charge(ten, "ada")
		k.spend(t, 10, network, ada)
		for range 50 {
			if wait := k.refuse(t, network, ada); wait != 90*time.Second {
				t.Fatalf("wait %s", wait)
			}
		}
		k.spend(t, 20, network)
		for _, both := range [][]throttle.Charge{{network, ada}, {ada, network}} {
			if wait := k.refuse(t, both...); wait != 90*time.Second {
				t.Errorf("wait %s", wait)
			}
		}
		if wait := k.refuse(t, network, charge(ten, "grace")); wait != 2*time.Second {
			t.Errorf("wait %s", wait)
		}
	})
}

func TestRefundRestores(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		network, ada := charge(wide, "network"), charge(ten, "ada")
		k.spend(t, 9, network, ada)
		for range 100 {
			k.refund(t, k.pass(t, 1, network, ada))
		}
		k.spend(t, 1, network, ada)
		k.refuse(t, ada)
		k.spend(t, 20, network)
		k.refuse(t, network)
	})
}

// What has refilled by itself is not given back as well.
func TestRefundGainsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		for name, away := range map[string]time.Duration{"at once": 0, "half refilled": 45 * time.Second, "refilled": 90 * time.Second, "long refilled": time.Hour} {
			ada := charge(ten, name)
			early := k.pass(t, 1, ada)
			k.advance(away)
			k.spend(t, 9, ada)
			k.refund(t, early)
			k.spend(t, 1, ada)
			k.refuse(t, ada)
		}
		gone := k.pass(t, 1, charge(ten, "gone"))
		k.advance(time.Hour)
		if purged, err := k.Purge(k.db.WithContext(t.Context()), 100); err != nil || purged != 5 {
			t.Fatalf("%d rows purged, %v", purged, err)
		}
		k.refund(t, gone)
		k.spend(t, 10, charge(ten, "gone"))
		k.refuse(t, charge(ten, "gone"))
	})
}

// Honest attempts at once, more than there is budget for, all pass: they wait for each other's refunds.
func TestHonestAttemptsWaitForEachOther(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		held := k.pass(t, 10, charge(wide, "network"), charge(ten, "ada"))
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				reservation, err := k.Reserve(t.Context(), charge(wide, "network"), charge(ten, "ada"))
				if err != nil {
					t.Error(err)
					return
				}
				k.refund(t, reservation)
			})
		}
		k.refund(t, held)
		all.Wait()

		// Who waits for others that turn out not to be honest is refused, and so is who cannot wait any longer.
		impatient, cancel := context.WithCancel(t.Context())
		held = k.pass(t, 1, charge(ten, "ada"))
		results := make(chan error, 2)
		go func() { _, err := k.Reserve(impatient, charge(ten, "ada")); results <- err }()
		cancel()
		if err := <-results; !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("impatient: %v", err)
		}
		lone := charge(throttle.Limit{Name: "lone", Burst: 1, Per: time.Hour}, "x")
		only := k.pass(t, 1, lone)
		go func() { _, err := k.Reserve(t.Context(), lone); results <- err }()
		only.End()
		err := <-results
		if throttled, ok := errors.AsType[*throttle.ThrottledError](err); !ok || throttled.RetryAfter != time.Hour {
			t.Errorf("after another was kept: %v", err)
		}
		held.End()
	})
}

// Attempts that are not distinct cost one together; a distinct one that is refused is not remembered.
func TestDistinct(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		of := func(i int) throttle.Charge {
			return throttle.Charge{Limit: ten, Subject: "network", Distinct: fmt.Sprint(i)}
		}
		k.refund(t, k.pass(t, 1, of(0)))
		for i := range 10 {
			k.spend(t, 5, of(i))
		}
		for range 3 {
			if wait := k.refuse(t, of(10)); wait != 90*time.Second {
				t.Errorf("wait %s", wait)
			}
		}
		k.spend(t, 5, of(3))
		k.advance(90 * time.Second)
		k.spend(t, 1, of(10))
		k.refuse(t, of(11))
		k.advance(15 * time.Minute)
		for i := range 10 {
			k.spend(t, 2, of(i)) // counted anew
		}
		k.refuse(t, of(10))
	})
}

// Budgets survive the process, and the database tells nobody whose they are.
func TestWhatTheDatabaseHolds(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada, grace := charge(ten, "ada@example.com"), charge(ten, "grace@example.com")
		k.spend(t, 10, ada)
		if err := k.db.Close(); err != nil {
			t.Fatal(err)
		}
		k = k.open(t)
		k.refuse(t, ada)
		k.spend(t, 1, grace)

		var keys [][]byte
		if err := k.db.WithContext(t.Context()).Raw("SELECT key FROM throttle").Scan(&keys).Error; err != nil || len(keys) != 2 {
			t.Fatalf("%d rows, %v", len(keys), err)
		}
		for _, key := range keys {
			if len(key) != 32 || bytes.Contains(key, []byte("ada")) || bytes.Equal(key, throttle.New(throttle.Config{DB: k.db, Secret: testSecret[1:], Now: time.Now}).Pseudonym("ten", ada.Subject)) {
				t.Errorf("a key of the table is %q", key)
			}
		}
		rows := func(want int64) {
			t.Helper()
			for purged := int64(1); purged > 0; { // one at a time
				var err error
				if purged, err = k.Purge(k.db.WithContext(t.Context()), 1); err != nil {
					t.Fatal(err)
				}
			}
			var rows int64
			if err := k.db.WithContext(t.Context()).Table("throttle").Count(&rows).Error; err != nil || rows != want {
				t.Errorf("%d rows after the purge, want %d, %v", rows, want, err)
			}
		}
		k.advance(90*time.Second - time.Microsecond)
		rows(2)
		k.advance(time.Microsecond)
		rows(1)
		k.spend(t, 1, ada)
		k.refuse(t, ada)
	})
}

func TestClear(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		k.spend(t, 10, charge(ten, "ada"))
		k.spend(t, 10, charge(ten, "grace"))
		if err := k.Clear(k.db.WithContext(t.Context()), ten, "ada"); err != nil {
			t.Fatal(err)
		}
		k.spend(t, 10, charge(ten, "ada"))
		k.refuse(t, charge(ten, "grace"))
	})
}

// A refusal stands for a second without the database, and no longer: another instance may forgive meanwhile.
func TestRefusalIsRemembered(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		one := newKit(t, engine)
		other := one.open(t)
		ada, network := charge(ten, "ada"), throttle.Charge{Limit: ten, Subject: "network", Distinct: "ada"}
		rename := func(from, to string) {
			t.Helper()
			if err := one.db.WithContext(t.Context()).Exec("ALTER TABLE " + from + " RENAME TO " + to).Error; err != nil {
				t.Fatal(err)
			}
		}
		asks := func(charges ...throttle.Charge) {
			t.Helper()
			_, err := one.Reserve(t.Context(), charges...)
			if _, throttled := errors.AsType[*throttle.ThrottledError](err); err == nil || throttled {
				t.Errorf("the database was not asked: %v", err)
			}
		}
		one.spend(t, 10, ada)
		one.refuse(t, ada)
		one.spend(t, 1, network)
		for i := range 9 {
			one.spend(t, 1, throttle.Charge{Limit: ten, Subject: "network", Distinct: fmt.Sprint(i)})
		}
		one.refuse(t, throttle.Charge{Limit: ten, Subject: "network", Distinct: "new"})
		rename("throttle", "away")
		one.advance(time.Second - time.Microsecond)
		if wait := one.refuse(t, charge(wide, "network"), ada); wait != 89*time.Second+time.Microsecond {
			t.Errorf("wait %s", wait)
		}
		asks(charge(ten, "grace"))
		asks(network) // counted already, so it would pass
		one.advance(time.Microsecond)
		asks(ada)
		rename("away", "throttle")

		one.refuse(t, ada)
		if err := other.Clear(other.db.WithContext(t.Context()), ten, "ada"); err != nil {
			t.Fatal(err)
		}
		one.refuse(t, ada)
		one.advance(time.Second)
		one.spend(t, 10, ada)
		one.refuse(t, ada)
		if err := one.Clear(one.db.WithContext(t.Context()), ten, "ada"); err != nil {
			t.Fatal(err)
		}
		one.spend(t, 10, ada) // forgiven here: at once
		if wait := one.refuse(t, ada); wait != 90*time.Second {
			t.Errorf("wait %s", wait)
		}
		one.advance(90 * time.Second)
		one.spend(t, 1, ada) // not a moment later than it was told
	})
}

// What attempts in flight may give back is not remembered as spent, though another budget refused the attempt.
func TestBudgetInHandIsNotSpent(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada, grace := charge(ten, "ada"), charge(ten, "grace")
		k.spend(t, 10, ada)
		k.spend(t, 9, grace)
		held := k.pass(t, 1, grace)
		k.refuse(t, ada, grace)
		k.refund(t, held)
		k.spend(t, 1, grace)
		k.refuse(t, grace)
	})
}

// Of those who wait for a refund, not all ask the database at each.
func TestWaitingAsksSeldom(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada := charge(ten, "ada")
		var asked atomic.Int64
		count := func(db *gorm.DB) {
			if strings.Contains(db.Statement.SQL.String(), "INSERT INTO throttle") {
				asked.Add(1)
			}
		}
		if err := k.db.WithContext(t.Context()).Callback().Row().Before("*").Register("count", count); err != nil {
			t.Fatal(err)
		}
		held := k.pass(t, 10, ada)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		passed, done := make(chan struct{}, 50), make(chan struct{})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if reservation, err := k.Reserve(ctx, ada); err == nil {
					passed <- struct{}{}
					<-done
					reservation.End()
				}
			})
		}
		k.refund(t, held)
		<-passed
		cancel()
		close(done)
		all.Wait()
		// Besides the ten: one in vain for each state that the budget was in, and the one that passed.
		if got := asked.Load(); got < 11 || got > 13 {
			t.Errorf("asked %d times", got)
		}
	})
}
