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

// kit is a throttle with its own database, and a clock that only advance moves.
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

// open returns another instance that shares the database and the clock.
func (k *kit) open(t *testing.T) *kit {
	t.Helper()
	return k.openAhead(t, 0)
}

// openAhead returns another instance that shares the database, and whose clock is ahead.
func (k *kit) openAhead(t *testing.T, ahead time.Duration) *kit {
	t.Helper()
	db, err := database.Open(t.Context(), k.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	now := func() time.Time { return time.UnixMicro(k.clock.Load()).Add(ahead) }
	key, err := throttle.LoadKey(t.Context(), db, []secret.Secret{testSecret})
	if err != nil {
		t.Fatal(err)
	}
	instance := throttle.New(throttle.Config{DB: db, Key: key, Now: now})
	return &kit{Throttle: instance, db: db, url: k.url, clock: k.clock}
}

func (k *kit) advance(d time.Duration) { k.clock.Add(d.Microseconds()) }

func charge(limit throttle.Limit, subject string) throttle.Charge {
	return throttle.Charge{Limit: limit, Subject: subject}
}

// pass makes n attempts, which must pass, and leaves them in flight.
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

// spend makes n attempts, which must pass, and ends them without a refund.
func (k *kit) spend(t *testing.T, n int, charges ...throttle.Charge) {
	t.Helper()
	for range n {
		k.pass(t, 1, charges...).End()
	}
}

// refuse makes an attempt, which must be refused, and returns how long to wait.
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

// Of many attempts at once on two instances, exactly as many pass as the budget allows.
func TestExactInParallel(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		one := newKit(t, engine)
		instances := []*kit{one, one.open(t)}
		var passed, refused atomic.Int64
		var attempts sync.WaitGroup
		start := make(chan struct{})
		for i := range 200 {
			attempts.Go(func() {
				<-start
				charges := []throttle.Charge{charge(wide, "network"), charge(ten, fmt.Sprint(i%3))}
				reservation, err := instances[i%2].Reserve(t.Context(), charges...)
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
		attempts.Wait()
		if passed.Load() != 30 || refused.Load() != 170 {
			t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
		}
		for i := range 3 {
			if wait := one.refuse(t, charge(ten, fmt.Sprint(i))); wait != 90*time.Second {
				t.Errorf("subject %d: wait %s", i, wait)
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
			t.Errorf("just before the refill: wait %s", wait)
		}
		k.advance(time.Microsecond)
		k.spend(t, 1, ada)
		k.refuse(t, ada)
		k.advance(time.Hour) // refills no more than the burst
		k.spend(t, 10, ada)
		k.refuse(t, ada)
	})
}

// Other subjects and other limits have other budgets.
func TestBudgetsAreSeparate(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		k.spend(t, 10, charge(ten, "ada"))
		k.refuse(t, charge(ten, "ada"))
		k.spend(t, 10, charge(ten, "grace"))
		k.spend(t, 30, charge(wide, "ada"))
		// Name and subject, joined, are the same text as those of the spent budget.
		k.spend(t, 10, charge(throttle.Limit{Name: "tenad", Burst: 10, Per: ten.Per}, "a"))
	})
}

// An attempt that one limit refuses is not charged to the others. The error has the longest wait.
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

// An attempt is refused if another one spends a budget while it waits for its row. What it has
// charged to the other budgets by then is refunded, also to the marker of a distinct attempt.
func TestSpentMeanwhile(t *testing.T) {
	k := newKit(t, databasetest.Postgres) // SQLite has one writer, so the two cannot overlap
	one := throttle.Limit{Name: "one", Burst: 1, Per: time.Hour}
	network := func(email string) throttle.Charge {
		return throttle.Charge{Limit: one, Subject: "network", Distinct: email}
	}
	ada := charge(ten, "ada")
	k.spend(t, 1, ada)
	spend := func(tx *gorm.DB) error {
		return tx.Exec("UPDATE throttle SET tat = ?", k.clock.Load()+ten.Per.Microseconds()).Error
	}
	err := databasetest.Meanwhile(t, k.db, spend, func() error {
		_, err := k.Reserve(context.Background(), network("ada"), ada)
		return err
	})
	throttled, ok := errors.AsType[*throttle.ThrottledError](err)
	if !ok || throttled.Limit != ten.Name {
		t.Fatalf("not refused: %v", err)
	}
	k.spend(t, 1, network("grace"))
	k.refuse(t, network("ada"))
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

// A refund does not return what has already refilled by itself.
func TestRefundGainsNothing(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		for name, delay := range map[string]time.Duration{
			"immediately":   0,
			"half refilled": 45 * time.Second,
			"refilled":      90 * time.Second,
			"long refilled": time.Hour,
		} {
			subject := charge(ten, name)
			early := k.pass(t, 1, subject)
			k.advance(delay)
			k.spend(t, 9, subject)
			k.refund(t, early)
			k.spend(t, 1, subject)
			k.refuse(t, subject)
		}
		purged := k.pass(t, 1, charge(ten, "purged"))
		k.advance(time.Hour)
		if rows, err := k.Purge(k.db.WithContext(t.Context()), 100); err != nil || rows != 5 {
			t.Fatalf("%d rows purged, %v", rows, err)
		}
		k.refund(t, purged)
		k.spend(t, 10, charge(ten, "purged"))
		k.refuse(t, charge(ten, "purged"))
	})
}

// Parallel attempts that are all refunded pass even if there are more than the budget allows: they
// wait for each other's refunds.
func TestAttemptsWaitForRefunds(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		last := k.pass(t, 10, charge(wide, "network"), charge(ten, "ada"))
		var attempts sync.WaitGroup
		for range 50 {
			attempts.Go(func() {
				reservation, err := k.Reserve(t.Context(), charge(wide, "network"), charge(ten, "ada"))
				if err != nil {
					t.Error(err)
					return
				}
				k.refund(t, reservation)
			})
		}
		k.refund(t, last)
		attempts.Wait()
	})
}

// An attempt that waits for refunds is refused if there is none, or if its context ends.
func TestWaitingWithoutARefund(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		single := charge(throttle.Limit{Name: "single", Burst: 1, Per: time.Hour}, "x")
		first := k.pass(t, 1, single)
		result := make(chan error, 1)

		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, err := k.Reserve(ctx, single); result <- err }()
		cancel()
		if err := <-result; !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("canceled: %v", err)
		}

		go func() { _, err := k.Reserve(t.Context(), single); result <- err }()
		first.End()
		err := <-result
		if throttled, ok := errors.AsType[*throttle.ThrottledError](err); !ok || throttled.RetryAfter != time.Hour {
			t.Errorf("after the end of the other attempt: %v", err)
		}
	})
}

// Attempts with the same distinct text count once. A refused one is not remembered.
func TestDistinct(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		distinct := func(i int) throttle.Charge {
			return throttle.Charge{Limit: ten, Subject: "network", Distinct: fmt.Sprint(i)}
		}
		k.refund(t, k.pass(t, 1, distinct(0)))
		for i := range 10 {
			k.spend(t, 5, distinct(i))
		}
		for range 3 {
			if wait := k.refuse(t, distinct(10)); wait != 90*time.Second {
				t.Errorf("wait %s", wait)
			}
		}
		k.spend(t, 5, distinct(3))
		k.advance(90 * time.Second)
		k.spend(t, 1, distinct(10))
		k.refuse(t, distinct(11))
		k.advance(15 * time.Minute) // now they count again
		for i := range 10 {
			k.spend(t, 2, distinct(i))
		}
		k.refuse(t, distinct(10))
	})
}

// Budgets survive a restart, the keys in the database do not reveal their subjects, and Purge
// deletes the full budgets.
func TestStoredBudgets(t *testing.T) {
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
		err := k.db.WithContext(t.Context()).Raw("SELECT key FROM throttle").Scan(&keys).Error
		if err != nil || len(keys) != 2 {
			t.Fatalf("%d rows, %v", len(keys), err)
		}
		otherKey := throttle.New(throttle.Config{DB: k.db, Key: []byte("another key"), Now: time.Now})
		for _, key := range keys {
			if len(key) != 32 || bytes.Contains(key, []byte("ada")) ||
				bytes.Equal(key, otherKey.Pseudonym("ten", ada.Subject)) {
				t.Errorf("a key in the table: %q", key)
			}
		}
		purge := func(want int64) {
			t.Helper()
			for purged := int64(1); purged > 0; { // one at a time
				var err error
				if purged, err = k.Purge(k.db.WithContext(t.Context()), 1); err != nil {
					t.Fatal(err)
				}
			}
			var left int64
			if err := k.db.WithContext(t.Context()).Table("throttle").Count(&left).Error; err != nil || left != want {
				t.Errorf("%d rows after the purge, want %d, %v", left, want, err)
			}
		}
		k.advance(90*time.Second - time.Microsecond)
		purge(2)
		k.advance(time.Microsecond)
		purge(1)
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

// A refusal is repeated for a second without a query, and not longer: another instance may have
// refunded the budget.
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
		queries := func(charges ...throttle.Charge) {
			t.Helper()
			_, err := one.Reserve(t.Context(), charges...)
			if _, throttled := errors.AsType[*throttle.ThrottledError](err); err == nil || throttled {
				t.Errorf("the database was not queried: %v", err)
			}
		}
		one.spend(t, 10, ada)
		one.refuse(t, ada)
		one.spend(t, 1, network)
		for i := range 9 {
			one.spend(t, 1, throttle.Charge{Limit: ten, Subject: "network", Distinct: fmt.Sprint(i)})
		}
		one.refuse(t, throttle.Charge{Limit: ten, Subject: "network", Distinct: "new"})
		rename("throttle", "away") // queries fail
		one.advance(time.Second - time.Microsecond)
		if wait := one.refuse(t, charge(wide, "network"), ada); wait != 89*time.Second+time.Microsecond {
			t.Errorf("wait %s", wait)
		}
		queries(charge(ten, "grace"))
		queries(network) // counted already, so it would pass
		one.advance(time.Microsecond)
		queries(ada)
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
		one.spend(t, 10, ada) // cleared on this instance, so the refusal is forgotten immediately
		if wait := one.refuse(t, ada); wait != 90*time.Second {
			t.Errorf("wait %s", wait)
		}
		one.advance(90 * time.Second)
		one.spend(t, 1, ada)
	})
}

// A budget is not remembered as spent while it has attempts in flight, even if another budget
// refuses an attempt.
func TestBudgetInFlightIsNotSpent(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada, grace := charge(ten, "ada"), charge(ten, "grace")
		k.spend(t, 10, ada)
		k.spend(t, 9, grace)
		last := k.pass(t, 1, grace)
		k.refuse(t, ada, grace)
		k.refund(t, last)
		k.spend(t, 1, grace)
		k.refuse(t, grace)
	})
}

// Attempts that wait for refunds share the queries.
func TestWaitingCausesFewQueries(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		ada := charge(ten, "ada")
		var queries atomic.Int64
		count := func(db *gorm.DB) {
			if strings.Contains(db.Statement.SQL.String(), "INSERT INTO throttle") {
				queries.Add(1)
			}
		}
		if err := k.db.WithContext(t.Context()).Callback().Row().Before("*").Register("count", count); err != nil {
			t.Fatal(err)
		}
		last := k.pass(t, 10, ada)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		passed, done := make(chan struct{}, 50), make(chan struct{})
		var attempts sync.WaitGroup
		for range 50 {
			attempts.Go(func() {
				if reservation, err := k.Reserve(ctx, ada); err == nil {
					passed <- struct{}{}
					<-done
					reservation.End()
				}
			})
		}
		k.refund(t, last)
		<-passed
		cancel()
		close(done)
		attempts.Wait()
		// Ten before the refund, one that passed after it, and up to two that were refused, before and
		// after it.
		if got := queries.Load(); got < 11 || got > 13 {
			t.Errorf("%d queries", got)
		}
	})
}

// Two instances whose clocks differ allow no more attempts than one.
func TestClocksOfInstances(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		for _, ahead := range []time.Duration{time.Microsecond, time.Second, time.Minute} {
			other, budget := k.openAhead(t, ahead), charge(ten, ahead.String())
			passed := 0
			try := func() {
				for _, instance := range []*kit{other, k, other, k} {
					if reservation, err := instance.Reserve(t.Context(), budget); err == nil {
						reservation.End()
						passed++
					}
				}
			}
			for range 10 {
				try()
			}
			for range 5 {
				k.advance(90 * time.Second)
				try()
			}
			if passed != 15 {
				t.Errorf("%s ahead: %d attempts passed, want ten and five", ahead, passed)
			}
			k.advance(ten.Per + ahead)
		}
	})
}

// A purge does not delete a budget that an attempt charges at the same time.
func TestPurgeDuringAnAttempt(t *testing.T) {
	k := newKit(t, databasetest.Postgres) // SQLite has one writer, so the two cannot overlap
	budget := charge(ten, "ada")
	k.refund(t, k.pass(t, 1, budget)) // the row remains, and means nothing
	raise := func(tx *gorm.DB) error {
		return tx.Exec("UPDATE throttle SET tat = ?", k.clock.Load()+ten.Per.Microseconds()).Error
	}
	err := databasetest.Meanwhile(t, k.db, raise, func() error {
		return k.db.Transaction(context.Background(), func(tx *gorm.DB) error {
			_, err := k.Purge(tx, 1000)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	k.refuse(t, budget)
}

// A refusal is known without a query once the database has refused an attempt, until an attempt may
// pass or is refunded.
func TestRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		budget := charge(ten, "ada")
		refused := func() bool { return k.Refused(budget) != nil }
		k.spend(t, 9, budget)
		last := k.pass(t, 1, budget)
		if refused() {
			t.Error("refused, although the database was not asked")
		}
		last.End()
		k.refuse(t, budget)
		if err := k.Refused(budget); err == nil || err.Limit != ten.Name || err.RetryAfter != 90*time.Second {
			t.Errorf("not refused: %v", err)
		}
		if k.Refused(charge(ten, "grace")) != nil {
			t.Error("another budget is refused")
		}
		k.advance(time.Second)
		if refused() {
			t.Error("refused for longer than a second")
		}
		k.refuse(t, budget)
		if err := k.db.Transaction(t.Context(), func(tx *gorm.DB) error { return k.Clear(tx, ten, "ada") }); err != nil {
			t.Fatal(err)
		}
		if refused() {
			t.Error("refused, although the budget is full again")
		}
		off := throttle.New(throttle.Config{DB: k.db, Key: []byte("a key"), Now: time.Now, Off: true})
		if off.Refused(budget) != nil {
			t.Error("refused, although the throttle is off")
		}
	})
}

// What was charged while the clock was ahead counts as a budget with one attempt left, which
// refills as usual when the clock is right again.
func TestClockSetBack(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, ahead := range []time.Duration{time.Hour, 365 * 24 * time.Hour} {
			k := newKit(t, engine)
			ada, grace := charge(ten, "ada"), charge(ten, "grace")
			seen := throttle.Charge{Limit: ten, Subject: "network", Distinct: "ada"}
			k.advance(ahead)
			k.spend(t, 1, ada)
			k.spend(t, 10, grace)
			k.refuse(t, grace) // is remembered
			k.spend(t, 1, seen)
			k.advance(-ahead)
			for _, budget := range []throttle.Charge{ada, grace} {
				k.refund(t, k.pass(t, 1, budget))
				k.spend(t, 1, budget)
				if wait := k.refuse(t, budget); wait != 90*time.Second {
					t.Errorf("%s ahead, %s: wait %s", ahead, budget.Subject, wait)
				}
			}
			k.advance(90*time.Second - time.Microsecond)
			k.refuse(t, ada)
			k.advance(time.Microsecond)
			k.spend(t, 1, ada)
			k.refuse(t, ada)
			k.spend(t, 1, grace)
			k.advance(ten.Per)
			k.spend(t, 10, ada)
			k.refuse(t, ada)

			k.spend(t, 2, seen) // counts once again
			k.refuse(t, charge(ten, "network"))
		}
	})
}

// Budgets and pseudonyms survive a rotation of the secret. Instances that start at the same time
// share one key.
func TestKeySurvivesRotation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		k := newKit(t, engine)
		next := secret.Secret("the next secret of thirty-two bytes")
		load := func(secrets ...secret.Secret) ([]byte, error) {
			return throttle.LoadKey(t.Context(), k.db, secrets)
		}
		key, err := load(testSecret)
		if err != nil || len(key) != 32 {
			t.Fatalf("%x, %v", key, err)
		}
		if _, err := load(next); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("another secret: %v", err)
		}
		for _, secrets := range [][]secret.Secret{{testSecret, next}, {next, testSecret}, {next}} {
			if again, err := load(secrets...); err != nil || !bytes.Equal(again, key) {
				t.Errorf("%x, %v, want %x", again, err, key)
			}
		}
		if _, err := load(testSecret); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("the old secret after the rotation: %v", err)
		}
		var sealed []byte
		if err := k.db.WithContext(t.Context()).Raw("SELECT sealed FROM throttle_key").Row().Scan(&sealed); err != nil ||
			bytes.Contains(sealed, key) {
			t.Errorf("the key is stored unencrypted: %v", err)
		}

		if err := k.db.WithContext(t.Context()).Exec("DELETE FROM throttle_key").Error; err != nil {
			t.Fatal(err)
		}
		keys := make([][]byte, 10)
		var instances sync.WaitGroup
		for i := range keys {
			instances.Go(func() {
				var err error
				if keys[i], err = load(next); err != nil {
					t.Error(err)
				}
			})
		}
		instances.Wait()
		for _, other := range keys {
			if !bytes.Equal(other, keys[0]) || bytes.Equal(other, key) {
				t.Errorf("keys: %x", keys)
			}
		}
	})
}
