package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
)

var errBusy = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again, " + testToken}

// After a temporary refusal, a message is sent again after the backoff.
func TestRetry(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		var tries atomic.Int32
		o := newTestOutbox(t, engine, &mailtest.Server{OnRcpt: func(string) error {
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
		if got := await(t, o.server.Received); got.To != "ada@example.org" {
			t.Errorf("got %+v", got)
		}
		stop()
		noEntries(t, o.Outbox)
	})
}

// Messages survive an outage of the mail server. When it is over they are sent, however often they
// have failed: the clock stands still.
func TestOutage(t *testing.T) {
	for name, outage := range map[string]func(busy func() error) *mailtest.Server{
		"no connection": func(busy func() error) *mailtest.Server {
			return &mailtest.Server{OnConnect: func() bool { return busy() == nil }}
		},
		"no sender": func(busy func() error) *mailtest.Server { return &mailtest.Server{OnMail: busy} },
		"no recipient": func(busy func() error) *mailtest.Server {
			return &mailtest.Server{OnRcpt: func(string) error { return busy() }}
		},
		"no message": func(busy func() error) *mailtest.Server { return &mailtest.Server{OnData: busy} },
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				var up atomic.Bool
				o := newTestOutbox(t, engine, outage(func() error {
					if up.Load() {
						return nil
					}
					return errBusy
				}))
				stop := start(t, o.Outbox, messages)
				enqueue(t, o.Outbox, "ada@example.org", "bob@example.org", "eve@example.org", "joe@example.org")
				o.log.until(t, "does not accept emails")
				o.log.until(t, "attempt=2")
				up.Store(true)
				got := map[string]bool{}
				for range 4 {
					got[await(t, o.server.Received).To] = true
				}
				o.log.until(t, "accepts emails again")
				stop()
				if len(got) != 4 || len(o.server.Received) != 0 {
					t.Errorf("got %v and %d more", got, len(o.server.Received))
				}
				noEntries(t, o.Outbox)
			})
		})
	}
}

// A recipient for which the server does not reply delays nobody else.
func TestHangingRecipient(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		hangs := make(chan struct{})
		o := newTestOutbox(t, engine, &mailtest.Server{OnRcpt: func(to string) error {
			if strings.HasPrefix(to, "hangs") {
				<-hangs
			}
			return nil
		}})
		enqueue(t, o.Outbox, "hangs1@example.org", "hangs2@example.org", "hangs3@example.org")
		start(t, o.Outbox, messages)
		for i := range 40 {
			enqueue(t, o.Outbox, fmt.Sprintf("user%d@example.org", i))
		}
		for range 40 {
			if got := await(t, o.server.Received); strings.HasPrefix(got.To, "hangs") {
				t.Errorf("got %s", got.To)
			}
		}
		close(hangs)
		for range 3 {
			await(t, o.server.Received)
		}
	})
}

// A recipient that is deferred again and again does not delay the others, and is tried less often.
func TestDeferredRecipient(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{OnRcpt: func(to string) error {
			if to == "ada@example.org" {
				return errBusy
			}
			return nil
		}})
		start(t, o.Outbox, messages)
		enqueue(t, o.Outbox, "ada@example.org")
		for attempt := 1; attempt <= 5; attempt++ {
			o.log.until(t, fmt.Sprintf("attempt=%d", attempt))
			o.clock.advance(backoff(attempt) + time.Minute)
			enqueue(t, o.Outbox, "bob@example.org")
			await(t, o.server.Received)
		}
	})
}

// An email that can never be delivered becomes a dead letter, with the reason and an audit event.
func TestGivenUp(t *testing.T) {
	final := func() error {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: testToken}
	}
	const rejected = `level=WARN msg="email rejected, giving up"`
	const failed = `level=ERROR msg="email failed, giving up"`
	busy := func() error { return errBusy }
	for name, test := range map[string]struct {
		to             string // empty: Ada
		onMail, onData func() error
		age            time.Duration
		words, reason  string
	}{
		"rejected": {onData: final, words: rejected, reason: "rejected by the mail server: end of DATA: 550 5.1.1"},
		"malformed": {
			to: "ada@example.org\r\nBcc: eve@example.org", words: failed,
			reason: "malformed message: the recipient contains a line break or another control character",
		},
		"too old": {
			onData: busy, age: giveUpAfter, words: failed, reason: "deferred by the mail server: end of DATA: 451 4.3.0",
		},
		"too old, in an outage": {
			onMail: busy, age: giveUpAfter, words: failed,
			reason: "the mail server is not available: MAIL: the server replied 451 4.3.0",
		},
		"old and sent": {age: 2 * giveUpAfter, words: "email processed"},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				o := newTestOutbox(t, engine, &mailtest.Server{OnMail: test.onMail, OnData: test.onData})
				to := cmp.Or(test.to, "ada@example.org")
				enqueue(t, o.Outbox, to)
				o.clock.advance(test.age)
				stop := start(t, o.Outbox, messages)
				if line := o.log.until(t, "attempt=1"); !strings.Contains(line, test.words) {
					t.Errorf("logged %s", line)
				}
				stop()
				if test.reason == "" {
					noEntries(t, o.Outbox)
					return
				}
				dead := onlyDead(t, o.Outbox)
				if dead.LastError != test.reason || dead.Lease != nil || !dead.DeadAt.Equal(o.now()) {
					t.Errorf("%+v", dead)
				}
				if sent, failed, givenUp := o.Counts(); sent != 0 || failed != 1 || givenUp != 1 {
					t.Errorf("counted %d, %d, %d", sent, failed, givenUp)
				}
				want := []string{"email-give-up failure " + to + " reset password " + dead.ID + ": " + test.reason}
				if got := events(t, o.Outbox); !slices.Equal(got, want) {
					t.Errorf("events %q", got)
				}
				noneDue(t, o.Outbox)
			})
		})
	}
}

// While the server is down, emails that are too old are given up together, not one with each
// attempt.
func TestOldEmailsInAnOutage(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{OnConnect: func() bool { return false }})
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org", "eve@example.org")
		start(t, o.Outbox, messages)
		o.log.until(t, "does not accept emails")
		eventually(t, func() bool {
			return !slices.ContainsFunc(entries(t, o.Outbox), func(e Entry) bool { return e.Attempts == 0 })
		})
		o.clock.advance(giveUpAfter)
		eventually(t, func() bool { _, _, givenUp := o.Counts(); return givenUp == 3 })
		if waiting, err := o.leastTried(t.Context()); err != nil || len(waiting) != 0 {
			t.Errorf("waiting: %+v, %v", waiting, err)
		}
	})
}

// An error, a panic or an unknown kind delays a message and does not stop the worker.
// The value of a panic is not logged.
func TestComposeFails(t *testing.T) {
	for name, fail := range map[string]Compose{
		"error": func(context.Context, *Entry) (*Message, error) { return nil, errors.New("no database") },
		"panic": func(context.Context, *Entry) (*Message, error) { panic("token " + testToken) },
		"runtime panic": func(_ context.Context, entry *Entry) (*Message, error) {
			return &Message{To: strings.Split(entry.Email, "@")[2]}, nil
		},
		"unknown kind": nil,
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				o := newTestOutbox(t, engine, &mailtest.Server{})
				stop := start(t, o.Outbox, map[Kind]Compose{testKind: fail})
				enqueue(t, o.Outbox, "ada@example.org")
				o.log.until(t, "will retry")
				o.clock.advance(time.Second)
				o.Wake()
				o.log.until(t, "attempt=2")
				stop()

				o.clock.advance(2 * time.Second)
				drain(t, o.Outbox)
				if len(o.server.Received) != 1 {
					t.Error("not sent after the failure ended")
				}
				noEntries(t, o.Outbox)
			})
		})
	}
}

// If a worker stops during an attempt, another one sends the message after the lease.
func TestWorkerDies(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org")
		o.drain(t.Context(), map[Kind]Compose{
			testKind: func(context.Context, *Entry) (*Message, error) { runtime.Goexit(); return nil, nil },
		})
		o.sending.Wait()

		other := o.instance(t)
		for _, wait := range []time.Duration{0, lease - time.Microsecond} {
			o.clock.advance(wait)
			drain(t, other)
			if len(o.server.Received) != 0 {
				t.Fatal("sent within the lease")
			}
		}
		o.clock.advance(time.Microsecond)
		drain(t, other)
		if len(o.server.Received) != 1 {
			t.Error("not sent after the lease")
		}
		noEntries(t, o.Outbox)
	})
}

// An instance whose clock is ahead does not take over an email that is being sent.
func TestLeaseDoesNotDependOnClocks(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		other := o.instance(t)
		for _, ahead := range []time.Duration{time.Minute, -time.Minute} {
			enqueue(t, o.Outbox, "ada@example.org")
			entry := onlyDue(t, o.Outbox)
			if claimed, err := o.claim(t.Context(), entry); !claimed || err != nil {
				t.Fatal(claimed, err)
			}
			other.clock = func() time.Time { return o.clock.Now().Add(ahead) }
			noneDue(t, other)
			o.clock.advance(lease - time.Microsecond)
			noneDue(t, other)
			o.clock.advance(time.Microsecond)
			if err := other.remove(t.Context(), onlyDue(t, other)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// An email is held as long as it is being sent. If another worker has its lease nevertheless,
// sending stops.
func TestLeaseIsHeld(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		busy, release := make(chan struct{}), make(chan struct{})
		o := newTestOutbox(t, engine, &mailtest.Server{OnRcpt: func(string) error { close(busy); <-release; return errBusy }})
		defer close(release)
		enqueue(t, o.Outbox, "ada@example.org")
		start(t, o.Outbox, messages)
		await(t, busy)
		o.clock.advance(time.Second)
		eventually(t, func() bool { return entries(t, o.Outbox)[0].DueAt.Equal(o.now()) }) // the heartbeat
		stolen := uuid.NewString()
		execute(t, o.Outbox, "UPDATE outbox SET lease = ?", stolen)
		if line := o.log.until(t, "attempt=1"); !strings.Contains(line, "context canceled") {
			t.Errorf("logged %s", line)
		}
		if got := entries(t, o.Outbox); len(got) != 1 || got[0].Lease == nil || *got[0].Lease != stolen {
			t.Errorf("left: %+v", got)
		}
	})
}

// At shutdown, the messages that are being sent are finished.
func TestShutdownFinishes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		busy, release := make(chan struct{}, 2), make(chan struct{})
		o := newTestOutbox(t, engine, &mailtest.Server{OnData: func() error { busy <- struct{}{}; <-release; return nil }})
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); o.Run(ctx, messages) }()

		await(t, busy)
		await(t, busy)
		cancel()
		close(release)
		await(t, ended)
		if len(o.server.Received) != 2 {
			t.Error("the messages were not finished")
		}
		noEntries(t, o.Outbox)
	})
}

// A mail server that does not reply delays the shutdown by at most the grace period,
// and the row stays.
func TestShutdownIsBounded(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		busy, release := make(chan struct{}), make(chan struct{})
		o := newTestOutbox(t, engine, &mailtest.Server{OnData: func() error { close(busy); <-release; return errBusy }})
		defer close(release)
		o.grace = time.Millisecond
		enqueue(t, o.Outbox, "ada@example.org")
		stop := start(t, o.Outbox, messages)
		await(t, busy)
		stop()
		if left := entries(t, o.Outbox); len(left) != 1 || left[0].Lease != nil {
			t.Errorf("left: %+v", left)
		}
	})
}

// A worker continues after the database failed.
func TestDatabaseFails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org")
		execute(t, o.Outbox, "ALTER TABLE outbox RENAME TO elsewhere")
		stop := start(t, o.Outbox, messages)
		o.log.until(t, "outbox: database error")
		execute(t, o.Outbox, "ALTER TABLE elsewhere RENAME TO outbox")
		o.Wake()
		await(t, o.server.Received)
		stop()
		noEntries(t, o.Outbox)
	})
}

// If the database fails when a message was sent, the message is not sent again.
func TestDatabaseFailsAfterSending(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		var o *testOutbox
		o = newTestOutbox(t, engine, &mailtest.Server{OnData: func() error {
			return o.db.WithContext(t.Context()).Exec("ALTER TABLE outbox RENAME TO elsewhere").Error
		}})
		start(t, o.Outbox, messages)
		enqueue(t, o.Outbox, "ada@example.org")
		await(t, o.server.Received)
		o.log.until(t, "outbox: database error")
		execute(t, o.Outbox, "ALTER TABLE elsewhere RENAME TO outbox")
		eventually(t, func() bool { return len(entries(t, o.Outbox)) == 0 })
		if len(o.server.Received) != 0 {
			t.Error("sent twice")
		}
	})
}

// A message that this process enqueued does not wait for the next poll.
func TestWake(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
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
