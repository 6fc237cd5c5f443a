package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestSchema(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		model, err := schema.Parse(&outboxRow{}, &sync.Map{}, db.WithContext(t.Context()).NamingStrategy)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, column := range databasetest.Columns(t, db, model.Table) {
			names = append(names, column.Name)
			if column.Nullable {
				t.Errorf("%s may be null", column.Name)
			}
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(model.DBNames)); !slices.Equal(names, want) {
			t.Errorf("columns %v, fields %v", names, want)
		}
	})
}

// If the caller's transaction is rolled back, there is no row.
func TestEnqueueInTransaction(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		undo := errors.New("undo")
		err := o.db.Transaction(t.Context(), func(tx *gorm.DB) error {
			if err := o.Enqueue(tx, testKind, "ada@example.org"); err != nil {
				return err
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		noRows(t, o.Outbox)

		enqueue(t, o.Outbox, "ada@example.org")
		got := rows(t, o.Outbox)
		now := noon.UTC()
		if len(got) != 1 || got[0].ID[14] != '7' || got[0].Kind != testKind || got[0].Email != "ada@example.org" ||
			got[0].Attempts != 0 || !got[0].DueAt.Equal(now) || !got[0].CreatedAt.Equal(now) {
			t.Errorf("got %+v", got)
		}
		o.Wake() // does not block, although no worker is running
		o.Wake()
	})
}

// If two workers try to claim the same row, one succeeds.
func TestClaimOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		other := o.instance(t)
		enqueue(t, o.Outbox, "ada@example.org")
		row, err := o.first(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		until := o.now().Add(lease)
		if claimed, err := o.claim(t.Context(), row, until); !claimed || err != nil {
			t.Errorf("first: %v, %v", claimed, err)
		}
		if claimed, err := other.claim(t.Context(), row, until); claimed || err != nil {
			t.Errorf("second: %v, %v", claimed, err)
		}

		// After the lease has expired, the other worker claims the row. The first worker
		// cannot shorten that lease.
		o.clock.advance(lease)
		later := o.now().Add(lease)
		if claimed, err := other.claim(t.Context(), row, later); !claimed || err != nil {
			t.Errorf("after the lease: %v, %v", claimed, err)
		}
		if err := o.postpone(t.Context(), row, until, o.now()); err != nil {
			t.Error(err)
		}
		if got := rows(t, o.Outbox); len(got) != 1 || !got[0].DueAt.Equal(later) || got[0].Attempts != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

// Two instances that work at the same time send each message once.
func TestWorkersShare(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const count = 50
		o := newTestOutbox(t, engine, &mailServer{})
		var emails []string
		for i := range count {
			emails = append(emails, fmt.Sprintf("user%02d@example.org", i))
		}
		enqueue(t, o.Outbox, emails...)

		stop, stopOther := start(t, o.Outbox, messages), start(t, o.instance(t), messages)
		var got []string
		for range count {
			got = append(got, await(t, o.server.received).to)
		}
		stop()
		stopOther()
		slices.Sort(got)
		if !slices.Equal(got, emails) || len(o.server.received) != 0 {
			t.Errorf("got %v and %d more", got, len(o.server.received))
		}
		noRows(t, o.Outbox)
	})
}

// If Compose returns no message, nothing is sent and the row is deleted.
func TestNothingToSend(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		stop := start(t, o.Outbox, map[Kind]Compose{
			testKind: func(context.Context, string) (*Message, error) { return nil, nil },
		})
		enqueue(t, o.Outbox, "nobody@example.org")
		o.log.until(t, "email processed")
		stop()
		noRows(t, o.Outbox)
		if seen := o.server.clientBytes(); seen != "" {
			t.Errorf("the mail server received %q", seen)
		}
	})
}

// drain returns the time until the next row is due, up to the polling interval.
func TestDrainWaits(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		if wait := o.drain(t.Context(), messages); wait != pollEvery {
			t.Errorf("nothing to do: %v", wait)
		}
		enqueue(t, o.Outbox, "ada@example.org")
		for ahead, want := range map[time.Duration]time.Duration{2 * time.Second: 2 * time.Second, maxWait: pollEvery} {
			if err := o.db.WithContext(t.Context()).Exec("UPDATE outbox SET due_at = ?", o.now().Add(ahead)).Error; err != nil {
				t.Fatal(err)
			}
			if wait := o.drain(t.Context(), messages); wait != want {
				t.Errorf("due in %v: %v", ahead, wait)
			}
		}
		if len(o.server.received) != 0 {
			t.Error("sent before it was due")
		}
	})
}

// An email that was stored, claimed or postponed while a clock was ahead is sent when the clock is right.
func TestClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		o.clock.advance(time.Hour)
		enqueue(t, o.Outbox, "ada@example.org")
		o.clock.advance(-time.Hour)
		o.drain(t.Context(), messages)
		noRows(t, o.Outbox)
		if len(o.server.received) != 1 {
			t.Errorf("%d emails were sent", len(o.server.received))
		}
	})
}

func TestBackoff(t *testing.T) {
	want := time.Second
	for attempt := 1; attempt < 200; attempt++ {
		if got := backoff(attempt); got < want*9/10 || got > want {
			t.Errorf("after attempt %d: %v, want about %v", attempt, got, want)
		}
		want = min(2*want, 15*time.Minute)
	}
}

// A message that waits for a retry still counts as unsent.
func TestBacklog(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailServer{})
		expect := func(want Backlog) {
			t.Helper()
			if got, err := o.Backlog(t.Context()); err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		}
		expect(Backlog{})
		enqueue(t, o.Outbox, "ada@example.org")
		o.clock.advance(time.Minute)
		enqueue(t, o.Outbox, "grace@example.org", "alan@example.org")
		o.clock.advance(time.Second)
		expect(Backlog{Messages: 3, Due: 3, Oldest: 61 * time.Second})
		first, err := o.first(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if claimed, err := o.claim(t.Context(), first, o.now().Add(lease)); !claimed || err != nil {
			t.Fatal(claimed, err)
		}
		expect(Backlog{Messages: 3, Due: 2, Oldest: 61 * time.Second})
		if err := o.remove(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		expect(Backlog{Messages: 2, Due: 2, Oldest: time.Second})
	})
}
