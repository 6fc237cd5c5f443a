// Package throttle limits how often something may be tried, by the generic cell rate algorithm (ATM Forum
// Traffic Management 4.1, section 4.4.2): a budget of Burst attempts that refills evenly over Per.
//
// A budget is one number in the database, the theoretical arrival time: when the budget will be whole again.
// One conditional statement takes from it, so of any number of attempts at once, on any number of instances,
// no more pass than there is budget for, and a restart forgets nothing. Whom a budget is for is in the database
// only as an HMAC.
//
// An attempt is paid for before its outcome is known. Who turns out to be honest gets it back; an attempt that
// meets a budget taken by attempts still in hand therefore waits for them, so that honest attempts at once are not
// held against each other. That wait sees the attempts of this process only: those in hand on another instance
// count as spent. A refusal is remembered for a second, so that a flood of attempts does not reach the database.
package throttle

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/token"
)

// Limit is a budget that each of its subjects has.
type Limit struct {
	Name  string        // tells its subjects from those of other limits
	Burst int           // attempts that may be made at once
	Per   time.Duration // in which a spent budget refills; at least Burst microseconds
}

// interval is what one attempt costs: the time in which it refills, in microseconds.
func (l Limit) interval() int64 { return l.Per.Microseconds() / int64(l.Burst) }

// Charge is one attempt, held against one budget.
type Charge struct {
	Limit   Limit
	Subject string
	// Distinct, if not empty, makes attempts of the same text cost one together within Limit.Per.
	Distinct string
}

// ThrottledError says that a budget is spent.
type ThrottledError struct {
	RetryAfter time.Duration // until there is budget again, if nobody else takes it; above 0
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts: try again in %s", e.RetryAfter)
}

// Throttle keeps budgets in the table throttle. It is safe for concurrent use.
type Throttle struct {
	db     *gorm.DB
	key    []byte
	clock  func() time.Time
	turns  [64]chan struct{} // by the first charge; see Reserve
	inHand inHand
	spent  spent
}

// New makes a throttle over a migrated database. Budgets are found again under the same secret only.
func New(db *gorm.DB, secret token.Secret, clock func() time.Time) *Throttle {
	t := &Throttle{db: db, key: secret.Derive("throttle v1"), clock: clock, inHand: newInHand(), spent: spent{budgets: make(map[string]spentBudget)}}
	for i := range t.turns {
		t.turns[i] = make(chan struct{}, 1)
	}
	return t
}

// now is in microseconds since 1970, which need no rounding on either engine.
func (t *Throttle) now() int64 { return t.clock().UnixMicro() }

// Pseudonym is an HMAC-SHA256 of the parts under the throttle's key. The same text cut differently has another.
func (t *Throttle) Pseudonym(parts ...string) []byte {
	mac := hmac.New(sha256.New, t.key)
	for _, part := range parts {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Reserve pays for one attempt with all of charges, at least one, or with none. The caller ends the reservation
// with End. Errors: *ThrottledError with the longest wait of the budgets that are spent; a refused
// attempt costs nothing.
//
// Charges of several limits must stand in the same order everywhere: in that order their rows are locked. First
// stands the widest: attempts that share it take turns, so that whoever is refused sees the attempts in hand that
// hold the budget.
func (t *Throttle) Reserve(ctx context.Context, charges ...Charge) (*Reservation, error) {
	budgets := t.budgets(charges)
	t.inHand.enter(budgets)
	for {
		seen := t.inHand.refunds(budgets) // before the refusal, so that no refund after it is missed
		reservation, refused, err := t.inTurn(ctx, budgets)
		switch {
		case err != nil:
			t.inHand.leave(budgets)
			return nil, fmt.Errorf("reserve: %w", err)
		case reservation != nil:
			return reservation, nil
		case !t.inHand.wait(ctx, refused.budgets, seen):
			t.inHand.leave(budgets)
			if ctx.Err() != nil {
				return nil, fmt.Errorf("reserve: %w: %w", database.ErrUnavailable, ctx.Err()) // nobody knows yet
			}
			return nil, &ThrottledError{RetryAfter: t.learn(refused)}
		}
	}
}

// inTurn reserves once, and has a reservation counted as in hand before the next attempt can be refused for it.
func (t *Throttle) inTurn(ctx context.Context, budgets []budget) (*Reservation, *refusal, error) {
	turn := t.turns[int(budgets[0].key[0])%len(t.turns)]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%w: %w", database.ErrUnavailable, ctx.Err())
	}
	if wait := t.spent.wait(budgets, t.now()); wait > 0 {
		return nil, nil, &ThrottledError{RetryAfter: wait}
	}
	if refused := t.inHand.refused(budgets, t.now()); refused != nil {
		return nil, refused, nil
	}
	seen := t.inHand.refunds(budgets)
	reservation, refused, err := t.reserve(ctx, budgets)
	if reservation != nil {
		t.inHand.hold(budgets)
	}
	if refused != nil {
		t.inHand.refuse(refused, seen)
	}
	return reservation, refused, err
}

// learn remembers what a refusal says and tells its longest wait.
func (t *Throttle) learn(refused *refusal) time.Duration {
	now, longest := t.now(), int64(0)
	for i, b := range refused.budgets {
		longest = max(longest, refused.free[i]-refused.at)
		if t.inHand.none(b) {
			t.spent.remember(b.key, refused.free[i], now)
		}
	}
	return time.Duration(longest) * time.Microsecond
}

// Clear makes the budget of a subject whole again, in the caller's transaction.
func (t *Throttle) Clear(tx *gorm.DB, limit Limit, subject string) error {
	key := t.Pseudonym(limit.Name, subject)
	t.spent.forget(key)
	return tx.Exec("DELETE FROM throttle WHERE key = ?", key).Error
}

// Purge deletes up to most rows of budgets that are whole again, in the caller's transaction, and tells how many.
func (t *Throttle) Purge(tx *gorm.DB, most int) (int64, error) {
	deletion := tx.Exec("DELETE FROM throttle WHERE key IN (SELECT key FROM throttle WHERE tat <= ? LIMIT ?)", t.now(), most)
	return deletion.RowsAffected, deletion.Error
}
