package mail

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

var errBusy = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again, " + testToken}

// After a temporary refusal, a message is sent again after the backoff.
func TestRetry(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		var tries atomic.Int32
		o := newTestOutbox(t, engine, &mailServer{onRcpt: func(string) error {
			if tries.Add(1) <= 2 {
				return errBusy
			}
			return nil
		}})
		stop := start(t, o.Outbox, messages)
		enqueue(t, o.Outbox, "ada@example.org")
		for _, wait := range []time.Duration{time.Second, 2 * time.Second} {
			line := o.log.until(t, "will retry")
			if !strings.Contains(line, "451 4.3.0") || !strings.Contains(line, "level=WARN") {
				t.Errorf("logged %s", line)
			}
			o.clock.advance(wait)
			o.Wake()
		}
		if got := await(t, o.server.received); got.to != "ada@example.org" {
			t.Errorf("got %+v", got)
		}
		stop()
		noRows(t, o.Outbox)
	})
}

// Messages survive an outage of the mail server.
func TestOutage(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		var up atomic.Bool
		o := newTestOutbox(t, engine, &mailServer{onConnect: up.Load})
		stop := start(t, o.Outbox, messages)
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org", "eve@example.org")
		for range 3 {
			o.log.until(t, "will retry")
		}
		up.Store(true)
		o.clock.advance(time.Second)
		o.Wake()
		got := map[string]bool{}
		for range 3 {
			got[await(t, o.server.received).to] = true
		}
		stop()
		if len(got) != 3 || len(o.server.received) != 0 {
			t.Errorf("got %v and %d more", got, len(o.server.received))
		}
		noRows(t, o.Outbox)
	})
}

// A message that can never be delivered is given up and deleted.
func TestGivenUp(t *testing.T) {
	final := func() error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: testToken}
	}
	const rejected = `level=WARN msg="email rejected, giving up"`
	const failed = `level=ERROR msg="email failed, giving up"`
	for name, test := range map[string]struct {
		to, words string
		onData    func() error
		age       time.Duration
	}{
		"rejected":  {to: "ada@example.org", onData: final, words: rejected},
		"malformed": {to: "ada@example.org\r\nBcc: eve@example.org", words: failed},
		"too old": {
			to: "ada@example.org", onData: func() error { return errBusy }, age: giveUpAfter, words: failed,
		},
		"old and sent": {to: "ada@example.org", age: 2 * giveUpAfter, words: "email processed"},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				o := newTestOutbox(t, engine, &mailServer{onData: test.onData})
				enqueue(t, o.Outbox, test.to)
				o.clock.advance(test.age)
				stop := start(t, o.Outbox, messages)
				if line := o.log.until(t, "attempt=1"); !strings.Contains(line, test.words) {
					t.Errorf("logged %s", line)
				}
				stop()
				noRows(t, o.Outbox)
			})
		})
	}
}

// An error, a panic or an unknown kind delays a message and does not stop the worker.
// The value of a panic is not logged.
func TestComposeFails(t *testing.T) {
	for name, fail := range map[string]Compose{
		"error": func(context.Context, string) (*Message, error) { return nil, errors.New("no database") },
		"panic": func(context.Context, string) (*Message, error) { panic("token " + testToken) },
		"runtime panic": func(_ context.Context, to string) (*Message, error) {
			return &Message{To: strings.Split(to, "@")[2]}, nil
		},
		"unknown kind": nil,
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				o := newTestOutbox(t, engine, &mailServer{})
				stop := start(t, o.Outbox, map[Kind]Compose{testKind: fail})
				enqueue(t, o.Outbox, "ada@example.org")
				o.log.until(t, "will retry")
				o.clock.advance(time.Second)
				o.Wake()
				o.log.until(t, "attempt=2")
				stop()

				o.clock.advance(2 * time.Second)
				o.drain(t.Context(), messages)
				if len(o.server.received) != 1 {
					t.Error("not sent after the failure ended")
				}
				noRows(t, o.Outbox)
			})
		})
	}
}

// If a worker stops during an attempt, another one sends the message after the lease.
func TestWorkerDies(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		enqueue(t, o.Outbox, "ada@example.org")
		died := make(chan struct{})
		go func() {
			defer close(died)
			o.Run(t.Context(), map[Kind]Compose{
				testKind: func(context.Context, string) (*Message, error) { runtime.Goexit(); return nil, nil },
			})
		}()
		await(t, died)

		other := o.instance(t)
		for _, wait := range []time.Duration{0, lease - time.Microsecond} {
			o.clock.advance(wait)
			other.drain(t.Context(), messages)
			if len(o.server.received) != 0 {
				t.Fatal("sent within the lease")
			}
		}
		o.clock.advance(time.Microsecond)
		other.drain(t.Context(), messages)
		if len(o.server.received) != 1 {
			t.Error("not sent after the lease")
		}
		noRows(t, o.Outbox)
	})
}

// At shutdown, the message that is being sent is finished. The next one stays in the
// outbox.
func TestShutdownFinishes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		busy, release := make(chan struct{}), make(chan struct{})
		o := newTestOutbox(t, engine, &mailServer{onData: func() error { close(busy); <-release; return nil }})
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); o.Run(ctx, messages) }()

		await(t, busy)
		cancel()
		close(release)
		await(t, ended)
		if len(o.server.received) != 1 {
			t.Error("the message was not finished")
		}
		if left := rows(t, o.Outbox); len(left) != 1 || left[0].Attempts != 0 {
			t.Errorf("rows left: %+v", left)
		}
	})
}

// A mail server that does not reply delays the shutdown by at most the grace period,
// and the row stays.
func TestShutdownIsBounded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		busy, release := make(chan struct{}), make(chan struct{})
		o := newTestOutbox(t, engine, &mailServer{onData: func() error { close(busy); <-release; return errBusy }})
		defer close(release)
		o.grace = time.Millisecond
		enqueue(t, o.Outbox, "ada@example.org")
		stop := start(t, o.Outbox, messages)
		await(t, busy)
		stop()
		if left := rows(t, o.Outbox); len(left) != 1 {
			t.Errorf("rows left: %+v", left)
		}
	})
}

// A worker continues after the database failed.
func TestDatabaseFails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		enqueue(t, o.Outbox, "ada@example.org")
		if err := o.db.WithContext(t.Context()).Exec("ALTER TABLE outbox RENAME TO elsewhere").Error; err != nil {
			t.Fatal(err)
		}
		stop := start(t, o.Outbox, messages)
		o.log.until(t, "outbox: database error")
		if err := o.db.WithContext(t.Context()).Exec("ALTER TABLE elsewhere RENAME TO outbox").Error; err != nil {
			t.Fatal(err)
		}
		o.Wake()
		await(t, o.server.received)
		stop()
		noRows(t, o.Outbox)
	})
}

// A message that this process enqueued does not wait for the next poll.
func TestWake(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		start(t, o.Outbox, messages)
		for range 3 {
			began := time.Now()
			enqueue(t, o.Outbox, "ada@example.org")
			o.log.until(t, "email processed")
			if took := time.Since(began); took > pollEvery*3/4 {
				t.Errorf("took %v", took)
			}
		}
	})
}
