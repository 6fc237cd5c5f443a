package throttle

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// row identifies a row of the table throttle, and the limit on it.
type row struct {
	key  []byte
	gcra gcra
}

// budget is what a charge counts against.
type budget struct {
	row
	limit string // its name
	// marker is the row that records whether a Charge.Distinct was counted already. It is nil if
	// every attempt counts.
	marker *row
}

func (t *Throttle) budgets(charges []Charge) []budget {
	budgets := make([]budget, 0, len(charges))
	for _, c := range charges {
		b := budget{limit: c.Limit.Name, row: row{key: t.Pseudonym(c.Limit.Name, c.Subject), gcra: newGCRA(c.Limit)}}
		if c.Distinct != "" {
			once := newGCRA(Limit{Burst: 1, Per: c.Limit.Per})
			b.marker = &row{key: t.Pseudonym(c.Limit.Name, c.Subject, c.Distinct), gcra: once}
		}
		budgets = append(budgets, b)
	}
	return budgets
}

// rows returns the rows of the budgets, each marker before its budget.
func rows(budgets []budget) (rows []row) {
	for _, b := range budgets {
		if b.marker != nil {
			rows = append(rows, *b.marker)
		}
		rows = append(rows, b.row)
	}
	return rows
}

// refusal says when each of an attempt's budgets allows it again, in microseconds; 0 if it is not
// spent.
type refusal struct {
	at   int64
	free []int64
}

// query charges every budget or, if one of them is spent, none. A refusal writes nothing: query
// reads the rows first, and charges them if they allow it. If other attempts spend a budget in
// between, charge finds that, and query reads again.
func (t *Throttle) query(ctx context.Context, budgets []budget) (*Reservation, *refusal, error) {
	for {
		now := t.now()
		tats, err := t.read(ctx, rows(budgets), now)
		if err != nil {
			return nil, nil, err
		}
		refused, spent := &refusal{at: now, free: make([]int64, len(budgets))}, false
		for i, b := range budgets {
			if wait := b.gcra.wait(tats[string(b.key)], now); wait > 0 && !b.counted(tats, now) {
				refused.free[i], spent = now+wait, true
			}
		}
		if spent {
			return nil, refused, nil
		}
		reservation, err := t.charge(ctx, budgets, tats, now)
		if !errors.Is(err, errSpent) {
			return reservation, nil, err
		}
	}
}

// counted reports whether a budget of distinct attempts has counted this one already.
func (b budget) counted(tats map[string]int64, now int64) bool {
	return b.marker != nil && b.marker.gcra.wait(tats[string(b.marker.key)], now) > 0
}

// read returns the TATs of the rows that exist. A TAT that was stored while a clock was ahead is
// replaced, so that the budget refills from now on.
func (t *Throttle) read(ctx context.Context, rows []row, now int64) (map[string]int64, error) {
	var stored []struct {
		Key []byte
		TAT int64 `gorm:"column:tat"`
	}
	keys := make([][]byte, len(rows))
	for i, r := range rows {
		keys[i] = r.key
	}
	if err := t.db.WithContext(ctx).Table("throttle").Where("key IN ?", keys).Find(&stored).Error; err != nil {
		return nil, err
	}
	tats := make(map[string]int64, len(stored))
	for _, s := range stored {
		tats[string(s.Key)] = s.TAT
	}
	for _, r := range rows {
		tat := tats[string(r.key)]
		believed := r.gcra.believed(tat, now)
		if believed == tat {
			continue
		}
		tats[string(r.key)] = believed
		err := t.db.Statement(ctx, func(db *gorm.DB) error {
			return db.Exec("UPDATE throttle SET tat = ? WHERE key = ? AND tat = ?", believed, r.key, tat).Error
		})
		if err != nil {
			return nil, err
		}
	}
	return tats, nil
}

// errSpent rolls back a transaction that could not charge one of its budgets.
var errSpent = errors.New("spent")

// charge charges the budgets in one transaction, except those that have counted the attempt
// already. It returns errSpent if one of them no longer allows it.
func (t *Throttle) charge(
	ctx context.Context, budgets []budget, tats map[string]int64, now int64,
) (reservation *Reservation, err error) {
	err = t.db.Transaction(ctx, func(tx *gorm.DB) error {
		reservation = &Reservation{throttle: t, budgets: budgets}
		for _, b := range budgets {
			if b.counted(tats, now) {
				continue
			}
			if b.marker != nil {
				if err := reservation.take(tx, *b.marker, now); err != nil {
					return err
				}
			}
			if err := reservation.take(tx, b.row, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return reservation, nil
}

// take charges one row, or returns errSpent. The statement is gcra.attempt in SQL, so that
// concurrent attempts are decided one after another.
func (r *Reservation) take(tx *gorm.DB, from row, now int64) error {
	g := from.gcra
	var tat []int64
	// The key must not be the first value of the list: GORM would expand its bytes.
	err := tx.Raw(`
		INSERT INTO throttle (tat, key) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE
		SET tat = CASE WHEN throttle.tat > ? THEN throttle.tat ELSE ? END + ?
		WHERE throttle.tat <= ?
		RETURNING tat`, now+g.interval, from.key, now, now, g.interval, now+g.tolerance).Scan(&tat).Error
	if err != nil {
		return err
	}
	if len(tat) == 0 {
		return errSpent
	}
	r.taken = append(r.taken, taken{row: from, base: tat[0] - g.interval})
	return nil
}

// taken is what a reservation took from one row.
type taken struct {
	row
	base int64 // the row's TAT without this reservation
}

// Reservation is an attempt that was charged and may be refunded. It is not safe for concurrent
// use.
type Reservation struct {
	throttle *Throttle
	budgets  []budget
	taken    []taken
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
	r.throttle.local.end(r.budgets, r.refunded, r.throttle.now())
}
