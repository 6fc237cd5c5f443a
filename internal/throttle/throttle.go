// Package throttle limits how often something may be tried, with the generic cell rate algorithm
// (GCRA, ATM Forum Traffic Management 4.1, section 4.4.2): a budget of Burst attempts that refills
// evenly over Per.
//
// A budget is one number in the database. One conditional statement charges an attempt to it. So no
// more attempts pass than the budget allows, no matter how many run in parallel on how many
// instances, and a restart forgets nothing. The database contains only an HMAC of a budget's
// subject.
//
// An attempt is charged before its outcome is known, and refunded if it turns out to be legitimate.
// If a budget is spent only because of attempts in flight, further attempts wait for their outcome,
// so parallel legitimate attempts do not throttle each other. An attempt waits only for attempts of
// the same process: those in flight on another instance count as spent. A refusal is remembered for
// a second, so that a flood of attempts does not reach the database.
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
	"github.com/sesame-auth/sesame/internal/secret"
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
	RetryAfter time.Duration // until an attempt is allowed, if there are no others meanwhile; more than 0
}

func (e *ThrottledError) Error() string {
	return fmt.Sprintf("too many attempts: try again in %s", e.RetryAfter)
}

// Config configures a Throttle.
type Config struct {
	DB     *database.DB
	Secret secret.Secret // a new secret makes all budgets full
	Now    func() time.Time
	Off    bool // only limits with Always apply
}

// Throttle keeps budgets in the table throttle. It is safe for concurrent use.
type Throttle struct {
	db       *database.DB
	key      []byte
	clock    func() time.Time
	off      bool
	turns    [64]chan struct{} // selected by the first charge; see Reserve
	inFlight inFlight
	spent    spent
}

// New returns a Throttle.
func New(config Config) *Throttle {
	t := &Throttle{
		db: config.DB, key: config.Secret.Derive("throttle v1"), clock: config.Now, off: config.Off,
		inFlight: newInFlight(), spent: spent{budgets: make(map[string]spentBudget)},
	}
	for i := range t.turns {
		t.turns[i] = make(chan struct{}, 1)
	}
	return t
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
// The charges must have the same order everywhere, because their rows are locked in that order. The
// charge that is shared by the most attempts comes first: attempts with the same first charge take
// turns, so that a refused attempt sees all attempts in flight that have charged its budget.
func (t *Throttle) Reserve(ctx context.Context, charges ...Charge) (*Reservation, error) {
	if t.off {
		charges = slices.DeleteFunc(slices.Clone(charges), func(c Charge) bool { return !c.Limit.Always })
	}
	budgets := t.budgets(charges)
	if len(budgets) == 0 {
		return &Reservation{throttle: t}, nil
	}
	t.inFlight.enter(budgets)
	for {
		seen := t.inFlight.refunds(budgets) // before the refusal, so that no refund after it is missed
		reservation, refused, err := t.inTurn(ctx, budgets)
		switch {
		case err != nil:
			t.inFlight.leave(budgets)
			return nil, fmt.Errorf("reserve: %w", err)
		case reservation != nil:
			return reservation, nil
		case !t.inFlight.wait(ctx, refused.budgets, seen):
			t.inFlight.leave(budgets)
			if ctx.Err() != nil {
				// A refund might still have come.
				return nil, fmt.Errorf("reserve: %w: %w", database.ErrUnavailable, ctx.Err())
			}
			return nil, &ThrottledError{RetryAfter: t.learn(refused)}
		}
	}
}

// inTurn tries to reserve once, when it is the attempt's turn. A reservation counts as in flight
// before the turn ends, and so before another attempt can be refused because of it.
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
	if refused := t.inFlight.refused(budgets, t.now()); refused != nil {
		return nil, refused, nil
	}
	seen := t.inFlight.refunds(budgets)
	reservation, refused, err := t.reserve(ctx, budgets)
	if reservation != nil {
		t.inFlight.reserve(budgets)
	}
	if refused != nil {
		t.inFlight.refuse(refused, seen)
	}
	return reservation, refused, err
}

// learn remembers a refusal and returns its longest wait.
func (t *Throttle) learn(refused *refusal) time.Duration {
	now, longest := t.now(), int64(0)
	for i, b := range refused.budgets {
		longest = max(longest, refused.free[i]-refused.at)
		if t.inFlight.none(b) {
			t.spent.remember(b.key, refused.free[i], now)
		}
	}
	return time.Duration(longest) * time.Microsecond
}

// Clear makes the budget of a subject full again, in the caller's transaction.
func (t *Throttle) Clear(tx *gorm.DB, limit Limit, subject string) error {
	key := t.Pseudonym(limit.Name, subject)
	t.spent.forget(key)
	return tx.Exec("DELETE FROM throttle WHERE key = ?", key).Error
}

// Purge deletes up to limit rows of budgets that are full again, in the caller's transaction. It
// returns how many it deleted.
func (t *Throttle) Purge(tx *gorm.DB, limit int) (int64, error) {
	deletion := tx.Exec(`
		DELETE FROM throttle WHERE key IN (
			SELECT key FROM throttle WHERE tat <= ? LIMIT ?)`, t.now(), limit)
	return deletion.RowsAffected, deletion.Error
}
