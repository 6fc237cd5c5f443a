package throttle

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
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

// rows returns the rows of a budget, the marker first.
func (b budget) rows() []row {
	if b.marker == nil {
		return []row{b.row}
	}
	return []row{*b.marker, b.row}
}

// refusal says when each of an attempt's budgets allows it again, in microseconds; 0 if it is not
// spent.
type refusal struct {
	at   int64
	free []int64
}

// query charges every budget or, if one of them is spent, none.
func (t *Throttle) query(ctx context.Context, budgets []budget) (*Reservation, *refusal, error) {
	for {
		reservation, err := t.charge(ctx, budgets)
		if err != nil || reservation != nil {
			return reservation, nil, err
		}
		now := t.now()
		tats, err := t.read(ctx, budgets, now)
		if err != nil {
			return nil, nil, err
		}
		refused, spent, counted := &refusal{at: now, free: make([]int64, len(budgets))}, false, 0
		for i, b := range budgets {
			if b.counted(tats, now) {
				counted++
			} else if wait := b.gcra.wait(tats[string(b.key)], now); wait > 0 {
				refused.free[i], spent = now+wait, true
			}
		}
		switch {
		case spent:
			return nil, refused, nil
		case counted == len(budgets):
			return &Reservation{throttle: t, budgets: budgets}, nil, nil
		}
	}
}

// counted reports whether a budget of distinct attempts has counted this one already.
func (b budget) counted(tats map[string]int64, now int64) bool {
	return b.marker != nil && b.marker.gcra.wait(tats[string(b.marker.key)], now) > 0
}

// charge charges the budgets, except those that have counted the attempt already. It returns nil if
// it has charged none, because one of them is spent or all have counted the attempt.
//
// One statement checks and charges them all, so a refusal writes nothing, and nobody else can come
// in between on SQLite. On PostgreSQL, another attempt can spend a budget after the check. Then its
// row is not changed, and the other ones are refunded.
func (t *Throttle) charge(ctx context.Context, budgets []budget) (*Reservation, error) {
	if ctx.Err() != nil { // Statement would let it continue
		return nil, fmt.Errorf("%w: %w", database.ErrUnavailable, ctx.Err())
	}
	now, n := t.now(), 0
	var values []any
	for _, b := range budgets {
		var marker []byte
		if b.marker != nil {
			marker = b.marker.key
		}
		for _, r := range b.rows() {
			values, n = append(values, r.key, now+r.gcra.interval, now+r.gcra.tolerance, marker), n+1
		}
	}
	var charged []stored
	err := t.db.Statement(ctx, func(db *gorm.DB) error {
		charged = nil
		return db.Raw(chargeSQL(n), append(values, now, now, now, now)...).Scan(&charged).Error
	})
	if err != nil || len(charged) == 0 {
		return nil, err
	}
	reservation := &Reservation{throttle: t, budgets: budgets}
	if !reservation.take(byKey(charged)) {
		return nil, t.db.Statement(ctx, reservation.Refund)
	}
	return reservation, nil
}

// chargeSQL returns the statement that charges n rows. It is gcra.attempt in SQL.
func chargeSQL(n int) string {
	return `
		WITH charges (key, tat, latest, marker) AS (
			SELECT key, tat, tat, key FROM throttle WHERE FALSE` + strings.Repeat(" UNION ALL SELECT ?, ?, ?, ?", n) + `
		), due AS (
			SELECT * FROM charges
			WHERE marker IS NULL OR NOT EXISTS (SELECT 1 FROM throttle WHERE throttle.key = marker AND throttle.tat > ?)
		)
		INSERT INTO throttle (key, tat)
		SELECT key, tat FROM due
		WHERE NOT EXISTS (SELECT 1 FROM due JOIN throttle ON throttle.key = due.key WHERE throttle.tat > due.latest)
		ON CONFLICT (key) DO UPDATE
		SET tat = CASE WHEN throttle.tat > ? THEN throttle.tat ELSE ? END + excluded.tat - ?
		WHERE throttle.tat <= (SELECT latest FROM charges WHERE charges.key = excluded.key)
		RETURNING key, tat`
}

// take records what the reservation took, from the rows that were charged. It reports whether each
// budget was charged. One that has counted the attempt already was not, like its marker.
func (r *Reservation) take(charged map[string]int64) (complete bool) {
	complete = true
	for _, b := range r.budgets {
		before := len(r.taken)
		for _, from := range b.rows() {
			if tat, ok := charged[string(from.key)]; ok {
				r.taken = append(r.taken, taken{row: from, base: tat - from.gcra.interval})
			}
		}
		changed := len(r.taken) - before
		complete = complete && (changed == len(b.rows()) || changed == 0 && b.marker != nil)
	}
	return complete
}

// stored is a row of the table throttle.
type stored struct {
	Key []byte
	TAT int64 `gorm:"column:tat"`
}

func byKey(rows []stored) map[string]int64 {
	tats := make(map[string]int64, len(rows))
	for _, r := range rows {
		tats[string(r.Key)] = r.TAT
	}
	return tats
}

// read returns the TATs of the rows that exist. A TAT that was stored while a clock was ahead is
// replaced, so that the budget refills from now on.
func (t *Throttle) read(ctx context.Context, budgets []budget, now int64) (map[string]int64, error) {
	var rows []row
	var keys [][]byte
	for _, b := range budgets {
		for _, r := range b.rows() {
			rows, keys = append(rows, r), append(keys, r.key)
		}
	}
	var found []stored
	if err := t.db.WithContext(ctx).Table("throttle").Where("key IN ?", keys).Find(&found).Error; err != nil {
		return nil, err
	}
	tats := byKey(found)
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

// taken is what a reservation took from one row.
type taken struct {
	row
	base int64 // the row's TAT without this reservation
}

// Receipt says what a reservation took. It can be stored as JSON, for a refund after the
// reservation has ended, perhaps on another instance. Clients must not be able to change it.
type Receipt []receiptRow

type receiptRow struct {
	Key      []byte `json:"key"`
	Interval int64  `json:"interval"`
	Base     int64  `json:"base"`
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
	if err := r.throttle.Refund(tx, r.Receipt()); err != nil {
		return err
	}
	r.refunded = true
	return nil
}

// Receipt returns what the reservation took.
func (r *Reservation) Receipt() Receipt {
	var receipt Receipt
	for _, t := range r.taken {
		receipt = append(receipt, receiptRow{Key: t.key, Interval: t.gcra.interval, Base: t.base})
	}
	return receipt
}

// Refund is like [Reservation.Refund], for the receipt of a reservation.
func (t *Throttle) Refund(tx *gorm.DB, receipt Receipt) error {
	now := t.now()
	var values []any
	for _, r := range receipt {
		if refund := (gcra{interval: r.Interval}).refund(r.Base, now); refund > 0 {
			values = append(values, refund, r.Key)
		}
	}
	if len(values) == 0 {
		return nil
	}
	// A row that was deleted meanwhile is inserted with a TAT in 1970, which means the same as no row.
	err := tx.Exec(`
		INSERT INTO throttle (tat, key) VALUES (?, ?)`+strings.Repeat(", (?, ?)", len(values)/2-1)+`
		ON CONFLICT (key) DO UPDATE SET tat = throttle.tat - excluded.tat`, values...).Error
	if err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	return nil
}

// End ends the reservation, and wakes the attempts that wait for a refund. Call it exactly once,
// after the transaction of the refund.
func (r *Reservation) End() {
	r.throttle.local.end(r.budgets, r.refunded, r.throttle.now())
}
