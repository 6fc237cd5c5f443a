package mail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	pollEvery     = 5 * time.Second // for rows of other instances
	queryTimeout  = 10 * time.Second
	workLimit     = time.Minute      // for one letter: compose, send, delete
	lease         = 2 * time.Minute  // longer than workLimit by the clocks' difference
	firstRetry    = time.Second      // doubled with each attempt
	lastRetry     = 15 * time.Minute // and no longer than this
	giveUpAfter   = 24 * time.Hour   // since the row was written
	shutdownGrace = 10 * time.Second
)

// Run sends what is in the outbox until ctx ends; then it finishes the letter in
// hand, within ten seconds, and returns. One Run sends one letter at a time;
// several may run at once, in one process or in many. A kind that compose lacks
// is treated as a failure, so that an instance of a newer version can take the
// row. Errors of the database are logged and the loop goes on.
func (o *Outbox) Run(ctx context.Context, compose map[Kind]Compose) {
	for ctx.Err() == nil {
		timer := time.NewTimer(o.drain(ctx, compose))
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// drain works on every row that is due and returns how long to wait for more.
func (o *Outbox) drain(ctx context.Context, compose map[Kind]Compose) time.Duration {
	for ctx.Err() == nil {
		row, err := o.first(ctx)
		if err == nil && row != nil {
			if wait := row.DueAt.Sub(o.now()); wait > 0 {
				return min(wait, pollEvery)
			}
			err = o.work(ctx, row, compose)
		}
		// That the end of ctx interrupted a read is no news; a letter sent and
		// not deleted is.
		if err != nil && (row != nil || ctx.Err() == nil) {
			o.log.Error("the mail outbox cannot use the database", "err", err)
		}
		if err != nil || row == nil {
			return pollEvery
		}
	}
	return 0
}

// work takes one row through an attempt, unless another worker was first. Its
// error is the database's.
func (o *Outbox) work(ctx context.Context, row *outboxRow, compose map[Kind]Compose) error {
	ctx, cancel := outlive(ctx, o.grace)
	defer cancel()

	until := o.now().Add(lease)
	if claimed, err := o.claim(ctx, row, until); err != nil || !claimed {
		return err
	}
	row.Attempts++

	err := o.deliver(ctx, row, compose[row.Kind])
	log := o.log.With("kind", row.Kind, "id", row.ID, "attempt", row.Attempts)
	switch now := o.now(); {
	case err == nil:
		log.Debug("mail done")
	case errors.Is(err, ErrRejected):
		log.Warn("mail rejected, given up", "err", err)
	case errors.Is(err, ErrMalformed), now.Sub(row.CreatedAt) >= giveUpAfter:
		log.Error("mail given up", "err", err)
	default:
		wait := backoff(row.Attempts)
		log.Warn("mail failed, will be tried again", "err", err, "wait", wait)
		return o.postpone(ctx, row, until, now.Add(wait))
	}
	return o.remove(ctx, row)
}

// deliver composes the letter and sends it, if there is one.
func (o *Outbox) deliver(ctx context.Context, row *outboxRow, compose Compose) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = o.panicked(value)
		}
	}()
	if compose == nil {
		return errors.New("mail: this version does not know the kind")
	}
	message, err := compose(ctx, row.Email)
	if err != nil || message == nil {
		return err
	}
	return o.sender.Send(ctx, *message)
}

// panicked logs where it happened. A panic's value may be anything, the letter
// included; only the runtime's own are known to be harmless.
func (o *Outbox) panicked(value any) error {
	o.log.Error("panic while sending a mail", "stack", string(debug.Stack()))
	if err, ok := value.(runtime.Error); ok {
		return fmt.Errorf("mail: panic: %w", err)
	}
	return fmt.Errorf("mail: panic with a %T", value)
}

// backoff is the wait after the given attempt, counted from 1, in [0.9, 1] of
// 1 s, 2 s, 4 s … 15 min, so that what failed together is not retried together.
func backoff(attempt int) time.Duration {
	wait := lastRetry
	if attempt < 11 { // 2^10 s is more than 15 min
		wait = min(firstRetry<<(attempt-1), lastRetry)
	}
	return wait - rand.N(wait/10) //nolint:gosec // spreads the load, hides nothing
}

// outlive returns a context for one letter: it lasts for workLimit, and no
// longer than grace after parent has ended.
func outlive(parent context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(parent), workLimit)
	stop := context.AfterFunc(parent, func() {
		select {
		case <-time.After(grace):
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}
