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
	pollEvery     = 5 * time.Second // for rows that other instances stored
	queryTimeout  = 10 * time.Second
	workLimit     = time.Minute             // for one email: compose, send, delete
	lease         = 2 * time.Minute         // exceeds workLimit by how much clocks may differ
	firstRetry    = time.Second             // doubles with each attempt
	lastRetry     = 15 * time.Minute        // the longest wait
	maxWait       = lastRetry + time.Minute // a row due later was stored while a clock was ahead; it is due now
	giveUpAfter   = 24 * time.Hour          // after the row was stored
	shutdownGrace = 10 * time.Second
)

// Run sends the emails in the outbox until ctx is done. Then it finishes the email
// that is being sent, within ten seconds, and returns. It sends one email at a time;
// several Runs may run at the same time, in one process or in several. A kind that
// compose does not contain counts as a failure, so that an instance of a newer version
// can send it. If the database fails, Run logs the error and continues.
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

// drain sends every email that is due and returns how long to wait for the next.
func (o *Outbox) drain(ctx context.Context, compose map[Kind]Compose) time.Duration {
	for ctx.Err() == nil {
		row, err := o.first(ctx)
		if err == nil && row != nil {
			if wait := row.DueAt.Sub(o.now()); wait > 0 && wait <= maxWait {
				return min(wait, pollEvery)
			}
			err = o.work(ctx, row, compose)
		}
		// An interrupted read at the end of ctx is normal. An email that was sent and
		// not deleted is not.
		if err != nil && (row != nil || ctx.Err() == nil) {
			o.log.Error("outbox: database error", "err", err)
		}
		if err != nil || row == nil {
			return pollEvery
		}
	}
	return 0
}

// work claims a row and tries to send it, unless another worker was first. It returns
// errors of the database.
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
		log.Debug("email processed")
	case errors.Is(err, ErrRejected):
		log.Warn("email rejected, giving up", "err", err)
	case errors.Is(err, ErrMalformed), now.Sub(row.CreatedAt) >= giveUpAfter:
		log.Error("email failed, giving up", "err", err)
	default:
		wait := backoff(row.Attempts)
		log.Warn("email failed, will retry", "err", err, "wait", wait)
		return o.postpone(ctx, row, until, now.Add(wait))
	}
	return o.remove(ctx, row)
}

// deliver composes the message and sends it, if there is one.
func (o *Outbox) deliver(ctx context.Context, row *outboxRow, compose Compose) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = o.panicked(value)
		}
	}()
	if compose == nil {
		return errors.New("this version does not know this kind of email")
	}
	message, err := compose(ctx, row.Email)
	if err != nil || message == nil {
		return err
	}
	return o.sender.Send(ctx, *message)
}

// panicked logs a panic and returns it as an error. It leaves out the value, which may
// contain the message, unless it is an error of the runtime.
func (o *Outbox) panicked(value any) error {
	o.log.Error("panic while sending an email", "stack", string(debug.Stack()))
	if err, ok := value.(runtime.Error); ok {
		return fmt.Errorf("panic: %w", err)
	}
	return fmt.Errorf("panic (%T)", value)
}

// backoff returns the wait after the given attempt, counted from 1: 1 s, 2 s, 4 s …
// 15 min, each shortened by up to a tenth, so that emails that failed at the same
// time are not retried at the same time.
func backoff(attempt int) time.Duration {
	wait := lastRetry
	if attempt < 11 { // 2¹⁰ s is more than 15 min
		wait = min(firstRetry<<(attempt-1), lastRetry)
	}
	return wait - rand.N(wait/10) //nolint:gosec // not a secret
}

// outlive returns a context for sending one email. It ends after workLimit, or grace
// after parent is done.
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
