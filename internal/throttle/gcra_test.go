package throttle

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
)

func TestGCRA(t *testing.T) {
	g := newGCRA(Limit{Burst: 3, Per: 30 * time.Second}) // one more every 10 s
	const second = int64(time.Second / time.Microsecond)
	tat, now := int64(0), 1000*second
	for i, step := range []struct{ pass, want int64 }{ // seconds that pass before the attempt, and how long it has to wait
		{0, 0}, {0, 0}, {0, 0}, {0, 10}, {9, 1}, {1, 0}, {0, 10}, {30, 0}, {0, 0}, {0, 0}, {0, 10}, {3600, 0}, {0, 0}, {0, 0}, {0, 10},
	} {
		now += step.pass * second
		next, wait := g.attempt(tat, now)
		if wait != step.want*second {
			t.Fatalf("attempt %d has to wait %d µs, want %d s", i, wait, step.want)
		}
		tat = next
	}
	if back := g.refund(now, now); back != 10*second {
		t.Errorf("a refund at once gives back %d µs", back)
	}
	if back := g.refund(now, now+4*second); back != 6*second {
		t.Errorf("a refund after 4 s gives back %d µs", back)
	}
	if back := g.refund(now, now+10*second); back != 0 {
		t.Errorf("a refund after 10 s gives back %d µs", back)
	}
}

// The SQL statement decides exactly as the function does.
func TestStatementIsGCRA(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		now := int64(1_900_000_000_000_000)
		th := New(Config{
			DB: databasetest.New(t, engine), Secret: secret.Secret("a secret of thirty-two bytes, and more"),
			Now: func() time.Time { return time.UnixMicro(now) },
		})
		random := rand.New(rand.NewPCG(1, 2)) // a reproducible sequence
		for _, limit := range []Limit{{"a", 1, time.Minute, false}, {"b", 3, 10 * time.Second, false}, {"c", 10, time.Second, false}} {
			g, tat := newGCRA(limit), int64(0)
			for i := range 200 {
				now += random.Int64N(2 * g.interval)
				next, wait := g.attempt(tat, now)
				_, refused, err := th.reserve(context.Background(), th.budgets([]Charge{{Limit: limit, Subject: "ada"}}))
				if err != nil {
					t.Fatal(err)
				}
				got := int64(0)
				if refused != nil {
					got = refused.free[0] - refused.at
				}
				if got != wait {
					t.Fatalf("attempt %d on %s has to wait %d µs, the function says %d", i, limit.Name, got, wait)
				}
				tat = next
			}
		}
	})
}
