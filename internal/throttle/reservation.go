package throttle

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// budget identifies a row of the table throttle, and how a charge counts against it.
type budget struct {
	key    []byte
	gcra   gcra
	marker *marker // nil: every attempt counts
}

// marker is the row that records whether a Charge.Distinct was counted already.
type marker struct {
	key  []byte
	gcra gcra
}

func (t *Throttle) budgets(charges []Charge) []budget {
	budgets := make([]budget, 0, len(charges))
	for _, charge := range charges {
		b := budget{key: t.Pseudonym(charge.Limit.Name, charge.Subject), gcra: newGCRA(charge.Limit)}
		if charge.Distinct != "" {
			b.marker = &marker{
				key:  t.Pseudonym(charge.Limit.Name, charge.Subject, charge.Distinct),
				gcra: newGCRA(Limit{Burst: 1, Per: charge.Limit.Per}),
			}
		}
		budgets = append(budgets, b)
	}
	return budgets
}

// refusal lists the budgets that were spent at a time, and when each allows an attempt again, in
// microseconds.
type refusal struct {
	at      int64
	budgets []budget
	free    []int64
}

var errRefused = errors.New("refused") // rolls the transaction back

// taken is what a reservation took from one row.
type taken struct {
	key  []byte
	gcra gcra
	base int64 // the row's TAT without this reservation
}

// ahead is a row that was charged while a clock was ahead.
type ahead struct {
	key  []byte
	gcra gcra
}

// reserve charges every budget or, if one of them is spent, none.
func (t *Throttle) reserve(ctx context.Context, budgets []budget) (*Reservation, *refusal, error) {
	now := t.now()
	refused := &refusal{at: now}
	reservation := &Reservation{throttle: t, budgets: budgets}
	err := t.db.Transaction(ctx, func(tx *gorm.DB) error {
		refused.budgets, refused.free = nil, nil // if the transaction runs again
		reservation.taken, reservation.ahead = nil, nil
		for _, b := range budgets {
			if b.marker != nil {
				wait, err := reservation.take(tx, b.marker.key, b.marker.gcra, now)
				if err != nil {
					return err
				}
				if wait > 0 {
					continue // counted already
				}
			}
			wait, err := reservation.take(tx, b.key, b.gcra, now)
			if err != nil {
				return err
			}
			if wait > 0 {
				refused.budgets, refused.free = append(refused.budgets, b), append(refused.free, now+wait)
			}
		}
		if len(refused.budgets) > 0 {
			return errRefused
		}
		return reservation.setBack(tx, now)
	})
	if errors.Is(err, errRefused) {
		if len(reservation.ahead) == 0 {
			return nil, refused, nil
		}
		return nil, refused, t.db.Transaction(ctx, func(tx *gorm.DB) error { return reservation.setBack(tx, now) })
	}
	if err != nil {
		return nil, nil, err
	}
	return reservation, nil, nil
}

// setBack sets the rows that were charged while a clock was ahead to spent budgets, so that they refill
// from now on.
func (r *Reservation) setBack(tx *gorm.DB, now int64) error {
	for _, row := range r.ahead {
		spent := row.gcra.spent(now)
		err := tx.Exec("UPDATE throttle SET tat = ? WHERE key = ? AND tat > ?", spent, row.key, spent).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// take makes one attempt on a row. It returns 0 or, if the attempt is refused, how long to wait.
// The first statement is gcra.attempt in SQL, so that concurrent attempts are decided one after
// another.
func (r *Reservation) take(tx *gorm.DB, key []byte, g gcra, now int64) (wait int64, err error) {
	var tat []int64
	// The key must not be the first value of the list: GORM would expand its bytes.
	err = tx.Raw(`
		INSERT INTO throttle (tat, key) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE
		SET tat = CASE WHEN throttle.tat > ? THEN throttle.tat ELSE ? END + ?
		WHERE throttle.tat <= ?
		RETURNING tat`, now+g.interval, key, now, now, g.interval, now+g.tolerance).Scan(&tat).Error
	if err != nil {
		return 0, err
	}
	if len(tat) == 1 {
		r.taken = append(r.taken, taken{key: key, gcra: g, base: tat[0] - g.interval})
		return 0, nil
	}
	// The refused statement locked the row, so this reads what it saw.
	if err := tx.Raw("SELECT tat FROM throttle WHERE key = ?", key).Scan(&tat).Error; err != nil {
		return 0, err
	}
	if len(tat) == 0 {
		return 0, errors.New("the budget's row is gone")
	}
	if tat[0] > g.spent(now) {
		r.ahead = append(r.ahead, ahead{key: key, gcra: g})
	}
	return g.wait(tat[0], now), nil
}

// Reservation is an attempt that was charged and may be refunded. It is not safe for concurrent
// use.
type Reservation struct {
	throttle *Throttle
	budgets  []budget
	taken    []taken
	ahead    []ahead
	refunded bool
}

// Refund returns to the budgets, in the caller's transaction, what the reservation took, minus what
// has refilled since. It locks the rows in the order of Reserve's charges.
func (r *Reservation) Refund(tx *gorm.DB) error {
	now := r.throttle.now()
	for _, t := range r.taken {
		refund := t.gcra.refund(t.base, now)
		if refund == 0 {
			continue
		}
		if err := tx.Exec("UPDATE throttle SET tat = tat - ? WHERE key = ?", refund, t.key).Error; err != nil {
			return fmt.Errorf("refund: %w", err)
		}
	}
	r.refunded = true
	return nil
}

// End ends the reservation, and wakes the attempts that wait for a refund. Call it exactly once,
// after the transaction of the refund.
func (r *Reservation) End() {
	r.throttle.inFlight.settle(r.budgets, r.refunded)
}
