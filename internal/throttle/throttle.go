// Package throttle limits how often something may be tried, with the generic cell rate algorithm
// (GCRA, ATM Forum Traffic Management 4.1, section 4.4.2): a budget of Burst attempts that refills
// evenly over Per.
//
// A budget is one number in the database. One conditional statement charges an attempt to all of its
// budgets, or to none. So no more attempts pass than a budget allows, no matter how many run in
// parallel on how many instances, and a restart forgets nothing. The database contains only an HMAC
// of a budget's subject.
//
// An attempt is charged before its outcome is known, and refunded if it turns out to be legitimate.
// If a budget is spent only because of attempts in flight, further attempts wait for their outcome,
// so parallel legitimate attempts do not throttle each other. An attempt waits only for attempts of
// the same process: those in flight on another instance count as spent. A refusal writes
// nothing, and is remembered for a second, so that a flood of attempts does not reach the database.
package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Limit is the size of a budget. Each subject has its own.
type Limit struct {
	Name  string        // distinguishes its subjects from those of other limits
	Burst int           // attempts that a full budget allows at once
	Per   time.Duration // in which a spent budget refills; at least Burst microseconds
	// Always makes the limit apply even if the throttle is off. It is for limits that protect the
	// server, not accounts.
	Always bool
}

// Charge is one attempt, counted against one budget.
type Charge struct {
	Limit   Limit
	Subject string
	// Distinct, if not empty, makes attempts with the same text count once within Limit.Per.
	Distinct string
}

// ThrottledError is returned when a budget is spent.
type ThrottledError struct {
	Limit      string        // the name of the limit with the longest wait
	Budget     string        // identifies its budget; no text
	RetryAfter time.Duration // until an attempt is allowed, if there are no others meanwhile; more than 0
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts: try again in %s", e.RetryAfter)
}

// Config configures a Throttle.
type Config struct {
	DB  *database.DB
	Key []byte // of LoadKey
	Now func() time.Time
	Off bool // only limits with Always apply
}

// Throttle keeps budgets in the table throttle. It is safe for concurrent use.
type Throttle struct {
	db    *database.DB
	key   []byte
	clock func() time.Time
	off   bool
	local local
}

// New returns a Throttle.
func New(config Config) *Throttle {
	return &Throttle{
		db: config.DB, key: config.Key, clock: config.Now, off: config.Off,
		local: local{budgets: make(map[string]*state)},
	}
}

// now returns the time in microseconds since 1970, which both engines store exactly.
func (t *Throttle) now() int64 { return t.clock().UnixMicro() }

// Pseudonym returns an HMAC-SHA256 of the parts under the throttle's key. The same text split into
// other parts has another pseudonym.
func (t *Throttle) Pseudonym(parts ...string) []byte {
	mac := hmac.New(sha256.New, t.key)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Reserve charges one attempt to the budgets of all charges. The caller must call
// [Reservation.End]. If a budget is spent, Reserve charges none of them and returns *ThrottledError
// with the longest wait.
//
// No two charges may be to the same budget. They must have the same order everywhere, because their
// rows are locked in that order. The charge that is shared by the most attempts comes first.
func (t *Throttle) Reserve(ctx context.Context, charges ...Charge) (*Reservation, error) {
	if t.off {
		charges = slices.DeleteFunc(slices.Clone(charges), func(c Charge) bool { return !c.Limit.Always })
	}
	if len(charges) == 0 {
		return &Reservation{throttle: t}, nil
	}
	a := newAttempt(t.budgets(charges))
	for {
		throttled, change := t.local.next(a, t.now())
		if throttled == nil && change == nil {
			reservation, refused, err := t.query(ctx, a.budgets)
			if err != nil {
				shared := err
				if ctx.Err() != nil { // only this attempt was canceled
					shared = nil
				}
				t.local.queried(a, shared)
				t.local.end(a.budgets, false, t.now())
				return nil, fmt.Errorf("reserve: %w", err)
			}
			if reservation != nil {
				t.local.queried(a, nil)
				return reservation, nil
			}
			throttled = t.local.refuse(a, refused)
		}
		if throttled != nil {
			return nil, throttled
		}
		if change == nil {
			continue // a budget was refunded, or may be: decide again
		}
		select {
		case <-change:
		case <-ctx.Done(): // a refund might still have come
			return nil, fmt.Errorf("reserve: %w: %w", database.ErrUnavailable, ctx.Err())
		}
		if a.query != nil && a.query.err != nil {
			return nil, fmt.Errorf("reserve: %w", a.query.err)
		}
	}
}

// Refused returns the refusal of one attempt if this process knows that the budget is spent, and nil
// otherwise. It does not query the database.
func (t *Throttle) Refused(c Charge) *ThrottledError {
	if t.off && !c.Limit.Always {
		return nil
	}
	return t.local.refused(t.budgets([]Charge{c})[0], t.now())
}

// Clear makes the budget of a subject full again, in the caller's transaction.
func (t *Throttle) Clear(tx *gorm.DB, limit Limit, subject string) error {
	key := t.Pseudonym(limit.Name, subject)
	t.local.forget(key)
	return tx.Exec("DELETE FROM throttle WHERE key = ?", key).Error
}

// Purge deletes up to limit rows of budgets that are full again, in the caller's transaction. It
// returns how many it deleted.
func (t *Throttle) Purge(tx *gorm.DB, limit int) (int64, error) {
	return database.DeleteUntil(tx, "throttle", "key", "tat", t.now(), limit)
}
