package throttle

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// budget is a row of the table throttle, and what a charge asks of it.
type budget struct {
	key    []byte
	limit  Limit
	marker []byte // the row that tells whether a Charge.Distinct was counted; nil: each attempt counts
}

func (t *Throttle) budgets(charges []Charge) []budget {
	budgets := make([]budget, 0, len(charges))
	for _, charge := range charges {
		b := budget{key: t.Pseudonym(charge.Limit.Name, charge.Subject), limit: charge.Limit}
		if charge.Distinct != "" {
			b.marker = t.Pseudonym(charge.Limit.Name, charge.Subject, charge.Distinct)
		}
		budgets = append(budgets, b)
	}
	return budgets
}

// refusal names the budgets that were spent at a time and when each has something again, in microseconds.
type refusal struct {
	at      int64
	budgets []budget
	free    []int64
}

var errRefused = errors.New("refused") // rolls back

// taken is what a reservation took from one row, in microseconds.
type taken struct {
	key            []byte
	interval, base int64 // base: the row's time without this reservation
}

// reserve takes from every budget or, when one is spent, from none.
func (t *Throttle) reserve(ctx context.Context, budgets []budget) (*Reservation, *refusal, error) {
	now := t.now()
	refused := &refusal{at: now}
	reservation := &Reservation{throttle: t, budgets: budgets}
	err := database.Transaction(ctx, t.db, func(tx *gorm.DB) error {
		for _, b := range budgets {
			if b.marker != nil {
				counted, _, err := reservation.take(tx, b.marker, Limit{Burst: 1, Per: b.limit.Per}, now)
				if err != nil {
					return err
				}
				if !counted {
					continue // counted already
				}
			}
			passed, wait, err := reservation.take(tx, b.key, b.limit, now)
			if err != nil {
				return err
			}
			if !passed {
				refused.budgets, refused.free = append(refused.budgets, b), append(refused.free, now+wait)
			}
		}
		if len(refused.budgets) > 0 {
			return errRefused
		}
		return nil
	})
	if errors.Is(err, errRefused) {
		return nil, refused, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return reservation, nil, nil
}

// take is the algorithm: an attempt passes if the row's time, moved on by one interval, is not further ahead than
// a whole budget. If it does not, take tells how long until it would, in microseconds.
func (r *Reservation) take(tx *gorm.DB, key []byte, limit Limit, now int64) (passed bool, wait int64, err error) {
	interval := limit.interval()
	latest := now + interval*int64(limit.Burst-1)
	var tat []int64
	// The key does not stand behind the parenthesis: GORM would take its bytes for a list there.
	err = tx.Raw(`
		INSERT INTO throttle (tat, key) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE
		SET tat = CASE WHEN throttle.tat > ? THEN throttle.tat ELSE ? END + ?
		WHERE throttle.tat <= ?
		RETURNING tat`, now+interval, key, now, now, interval, latest).Scan(&tat).Error
	if err != nil {
		return false, 0, err
	}
	if len(tat) == 1 {
		r.taken = append(r.taken, taken{key: key, interval: interval, base: tat[0] - interval})
		return true, 0, nil
	}
	// The refused statement locked the row, so this is what it saw.
	if err := tx.Raw("SELECT tat FROM throttle WHERE key = ?", key).Scan(&tat).Error; err != nil || len(tat) == 0 {
		return false, 0, err
	}
	return false, tat[0] - latest, nil
}

// Reservation is an attempt that was paid for and whose outcome is open. It is for one goroutine. On nil, its
// methods do nothing.
type Reservation struct {
	throttle *Throttle
	budgets  []budget
	taken    []taken
	refunded bool
}

// Refund gives back in the caller's transaction what the reservation took, less what has refilled since: nobody
// gains by it. The rows are locked in the order of Reserve's charges.
func (r *Reservation) Refund(tx *gorm.DB) error {
	if r == nil {
		return nil
	}
	now := r.throttle.now()
	for _, t := range r.taken {
		// From base on, the budget would have been whole without the reservation, and time spent whole refills
		// nothing.
		back := t.interval - max(0, now-t.base)
		if back <= 0 {
			continue
		}
		if err := tx.Exec("UPDATE throttle SET tat = tat - ? WHERE key = ?", back, t.key).Error; err != nil {
			return fmt.Errorf("refund: %w", err)
		}
	}
	r.refunded = true
	return nil
}

// End ends the reservation: attempts that wait for its outcome learn whether there was a refund. It comes after
// the transaction of the refund, and once.
func (r *Reservation) End() {
	if r != nil {
		r.throttle.inHand.settle(r.budgets, r.refunded)
	}
}
