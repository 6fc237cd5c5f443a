package mail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/sesame-auth/sesame/internal/tracing"
)

const (
	pollEvery     = time.Second     // for emails of other instances, and retries
	databaseWait  = 5 * time.Second // after an error of the database
	queryTimeout  = 10 * time.Second
	workLimit     = time.Minute             // for one email: compose, send, delete
	firstRetry    = time.Second             // doubles with each attempt
	lastRetry     = 15 * time.Minute        // the longest wait
	maxWait       = lastRetry + time.Minute // an entry due later was stored while a clock was ahead; it is due now
	giveUpAfter   = 24 * time.Hour          // after the entry was stored
	shutdownGrace = 10 * time.Second
)

// errNothingToSend means that there is no message, for example because the email has no account.
var errNothingToSend = errors.New("nothing to send")

// Run sends the emails in the outbox until ctx is done, several at the same time. Then it finishes
// those that are being sent, within ten seconds, and returns. Call it once for an Outbox; instances
// with the same database share the emails. A kind that compose does not contain counts as a
// failure, so that an instance of a newer version can send it. If the database fails, Run logs the
// error and continues.
func (o *Outbox) Run(ctx context.Context, compose map[Kind]Compose) {
	for ctx.Err() == nil {
		var wait time.Duration
		wake := o.wake
		if _, down := o.pace.down(o.clock()); down {
			wait = o.try(ctx, compose)
			wake = nil // a new email is not a reason to try earlier
		} else {
			wait = o.drain(ctx, compose)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-o.recovered:
		case <-timer.C:
		}
		timer.Stop()
	}
	o.sending.Wait()
}

// drain starts to send the emails that are due. It returns how long to wait before the next call.
func (o *Outbox) drain(ctx context.Context, compose map[Kind]Compose) (wait time.Duration) {
	entries, err := o.due(ctx)
	started := 0
	for _, entry := range entries {
		if !o.pace.start(ctx) {
			return 0
		}
		var claimed bool
		if claimed, err = o.claim(ctx, &entry); !claimed {
			o.pace.finish(entry.ID, errNothingToSend, o.clock())
		}
		if err != nil {
			break
		}
		if claimed {
			started++
			o.sending.Go(func() { o.work(ctx, &entry, compose) })
		}
	}
	switch {
	case err != nil:
		o.logDatabase(ctx, err)
		return databaseWait
	case started > 0 && len(entries) >= batch:
		return 0
	default:
		return pollEvery
	}
}

// try starts to send one email although the mail server is down: one that another instance has
// abandoned, or the one that was tried least often, whether it is due or not. It returns how long
// to wait before the next call. An attempt that hangs does not delay the next one.
func (o *Outbox) try(ctx context.Context, compose map[Kind]Compose) (wait time.Duration) {
	entries, err := o.abandoned(ctx)
	if err == nil && len(entries) == 0 {
		entries, err = o.leastTried(ctx)
	}
	if err == nil && len(entries) > 0 {
		var claimed bool
		entry := entries[0]
		if claimed, err = o.claim(ctx, &entry); claimed {
			o.pace.force()
			o.sending.Go(func() { o.work(ctx, &entry, compose) })
		}
	}
	if err == nil {
		err = o.giveUpOld(ctx)
	}
	if err != nil {
		o.logDatabase(ctx, err)
		return databaseWait
	}
	wait, _ = o.pace.down(o.clock())
	return wait
}

// logDatabase logs an error of the database. An interrupted read at the end of ctx is normal.
func (o *Outbox) logDatabase(ctx context.Context, err error) {
	if ctx.Err() == nil {
		o.log.Error("outbox: database error", "err", err)
	}
}

// work tries to send a claimed email, and records the result.
func (o *Outbox) work(ctx context.Context, entry *Entry, compose map[Kind]Compose) {
	ctx, cancel := outlive(ctx, o.grace)
	defer cancel()
	ctx, span := o.startSpan(ctx, entry)
	defer span.End()
	held, stop := o.hold(ctx, entry)
	err := o.deliver(held, entry, compose[entry.Kind])
	stop()
	tracing.Fail(span, errorType(err))
	change := o.pace.finish(entry.ID, err, o.clock())
	failed := o.record(ctx, entry, err)
	switch change {
	case wentDown:
		o.log.Warn("the mail server does not accept emails: trying one at a time until it does", "err", err)
	case recovered:
		o.log.Info("the mail server accepts emails again")
		failed = errors.Join(failed, o.hasten(ctx))
		o.recovered.send()
	}
	if failed != nil { // even at the end of ctx: an email that was sent may be sent again
		o.log.Error("outbox: database error", "err", failed)
	}
}

// record stores the result of an attempt. It returns errors of the database.
func (o *Outbox) record(ctx context.Context, entry *Entry, result error) error {
	log := o.log.With("kind", entry.Kind, "id", entry.ID, "attempt", entry.Attempts)
	now := o.now()
	switch {
	case result == nil, errors.Is(result, errNothingToSend):
		if result == nil {
			o.sent.Add(1)
		}
		log.Debug("email processed")
		return o.remove(ctx, entry)
	case errors.Is(result, ErrRejected):
		log.Warn("email rejected, giving up", "err", result)
	case errors.Is(result, ErrMalformed), now.Sub(entry.CreatedAt) >= giveUpAfter:
		log.Error("email failed, giving up", "err", result)
	case errors.Is(result, ErrUnavailable), errors.Is(result, ErrUnreachable):
		// This is not about the email. When it is tried again depends on the mail server only.
		o.failed.Add(1)
		log.Debug("email not sent", "err", result)
		err := o.release(ctx, entry, now, result)
		o.Wake()
		return err
	default:
		o.failed.Add(1)
		wait := backoff(entry.Attempts)
		log.Warn("email failed, will retry", "err", result, "wait", wait)
		return o.release(ctx, entry, now.Add(wait), result)
	}
	o.failed.Add(1)
	return o.giveUp(ctx, entry, result)
}

// deliver composes the message and sends it, if there is one.
func (o *Outbox) deliver(ctx context.Context, entry *Entry, compose Compose) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = o.panicked(value)
		}
	}()
	if compose == nil {
		return errors.New("this version does not know this kind of email")
	}
	message, err := compose(ctx, entry)
	if err != nil {
		return err
	}
	if message == nil {
		return errNothingToSend
	}
	ctx, span := tracing.Start(ctx, "send message")
	defer span.End()
	err = o.sender.Send(ctx, *message)
	tracing.Fail(span, errorType(err))
	return err
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
