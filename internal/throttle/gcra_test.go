package throttle

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestGCRA(t *testing.T) {
	g := newGCRA(Limit{Burst: 3, Per: 30 * time.Second}) // one more every 10 s
	const second = int64(time.Second / time.Microsecond)
	tat, now := int64(0), 1000*second
	for i, step := range []struct{ after, wait int64 }{ // time since the last attempt, and expected wait, in seconds
		{0, 0}, {0, 0}, {0, 0}, {0, 10},
		{9, 1}, {1, 0}, {0, 10},
		{30, 0}, {0, 0}, {0, 0}, {0, 10},
		{3600, 0}, {0, 0}, {0, 0}, {0, 10},
	} {
		now += step.after * second
		next, wait := g.attempt(tat, now)
		if wait != step.wait*second {
			t.Fatalf("attempt %d: wait %d µs, want %d s", i, wait, step.wait)
		}
		tat = next
	}
	for after, want := range map[int64]int64{0: 10, 4: 6, 10: 0} {
		if refund := g.refund(now, now+after*second); refund != want*second {
			t.Errorf("a refund after %d s: %d µs, want %d s", after, refund, want)
		}
	}
}

// The SQL statement decides exactly like the function.
func TestStatementIsGCRA(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		now := int64(1_900_000_000_000_000)
		th := New(Config{
			DB: databasetest.New(t, engine), Key: []byte("a key"), Now: func() time.Time { return time.UnixMicro(now) },
		})
		random := rand.New(rand.NewPCG(1, 2)) // a reproducible sequence
		for _, limit := range []Limit{
			{Name: "a", Burst: 1, Per: time.Minute},
			{Name: "b", Burst: 3, Per: 10 * time.Second},
			{Name: "c", Burst: 10, Per: time.Second},
		} {
			g, tat := newGCRA(limit), int64(0)
			for i := range 200 {
				now += random.Int64N(2 * g.interval)
				next, wait := g.attempt(tat, now)
				_, refused, err := th.query(context.Background(), th.budgets([]Charge{{Limit: limit, Subject: "ada"}}))
				if err != nil {
					t.Fatal(err)
				}
				got := int64(0)
				if refused != nil {
					got = refused.free[0] - refused.at
				}
				if got != wait {
					t.Fatalf("attempt %d on %s: wait %d µs, want %d", i, limit.Name, got, wait)
				}
				tat = next
			}
		}
	})
}
