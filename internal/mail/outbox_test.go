package mail

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
)

func TestSchema(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		model, err := schema.Parse(&Entry{}, &sync.Map{}, db.WithContext(t.Context()).NamingStrategy)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, column := range databasetest.Columns(t, db, model.Table) {
			names = append(names, column.Name)
			field := model.LookUpField(column.Name)
			if field != nil && column.Nullable != (field.FieldType.Kind() == reflect.Pointer) {
				t.Errorf("%s: nullable is %v", column.Name, column.Nullable)
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
		o := newTestOutbox(t, engine, &mailtest.Server{})
		undo := errors.New("undo")
		err := o.db.Transaction(t.Context(), func(tx *gorm.DB) error {
			if err := o.Enqueue(tx, testKind, "ada@example.org", uuid.Nil); err != nil {
				return err
			}
			return undo
		})
		if !errors.Is(err, undo) {
			t.Fatal(err)
		}
		noEntries(t, o.Outbox)

		enqueue(t, o.Outbox, "ada@example.org")
		got := entries(t, o.Outbox)
		now := noon.UTC()
		if len(got) != 1 || got[0].ID[14] != '7' || got[0].Kind != testKind || got[0].Email != "ada@example.org" ||
			got[0].Attempts != 0 || !got[0].DueAt.Equal(now) || !got[0].CreatedAt.Equal(now) {
			t.Errorf("got %+v", got)
		}
		o.Wake() // does not block, although no worker is running
		o.Wake()
	})
}

// If two workers try to claim the same email, one succeeds. Without heartbeats, another one takes
// over.
func TestClaimOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		other := o.instance(t)
		enqueue(t, o.Outbox, "ada@example.org")
		mine, theirs := onlyDue(t, o.Outbox), onlyDue(t, other)
		if claimed, err := o.claim(t.Context(), mine); !claimed || err != nil {
			t.Errorf("first: %v, %v", claimed, err)
		}
		if claimed, err := other.claim(t.Context(), theirs); claimed || err != nil {
			t.Errorf("second: %v, %v", claimed, err)
		}

		// A heartbeat is a sign of life, whatever the sender's clock says.
		for range 3 {
			noneDue(t, other)
			o.clock.advance(lease - time.Microsecond)
			if renewed, err := o.renew(t.Context(), mine); !renewed || err != nil {
				t.Errorf("renew: %v, %v", renewed, err)
			}
		}
		noneDue(t, other)
		o.clock.advance(lease)
		theirs = onlyDue(t, other)
		if claimed, err := other.claim(t.Context(), theirs); !claimed || err != nil {
			t.Errorf("without heartbeats: %v, %v", claimed, err)
		}

		// The first worker cannot disturb the second one.
		if renewed, err := o.renew(t.Context(), mine); renewed || err != nil {
			t.Errorf("renew a lost lease: %v, %v", renewed, err)
		}
		lost := errors.New("lost")
		if err := errors.Join(o.release(t.Context(), mine, noon, lost), o.giveUp(t.Context(), mine, lost)); err != nil {
			t.Error(err)
		}
		if got := entries(t, o.Outbox); len(got) != 1 || got[0].Lease == nil || *got[0].Lease != *theirs.Lease ||
			got[0].DeadAt != nil || got[0].Attempts != 2 {
			t.Errorf("got %+v", got)
		}
	})
}

// An email that failed and was claimed again is not claimed by a worker that read it before.
func TestClaimOfAnOldRead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org")
		old, entry := onlyDue(t, o.Outbox), onlyDue(t, o.Outbox)
		if claimed, err := o.claim(t.Context(), entry); !claimed || err != nil {
			t.Fatal(claimed, err)
		}
		if err := o.release(t.Context(), entry, old.DueAt, errors.New("failed")); err != nil {
			t.Fatal(err)
		}
		if claimed, err := o.claim(t.Context(), old); claimed || err != nil {
			t.Errorf("%v, %v", claimed, err)
		}
	})
}

func onlyDue(t *testing.T, o *Outbox) *Entry {
	t.Helper()
	due, err := o.due(t.Context())
	if err != nil || len(due) != 1 {
		t.Fatalf("due: %+v, %v", due, err)
	}
	return &due[0]
}

func noneDue(t *testing.T, o *Outbox) {
	t.Helper()
	if due, err := o.due(t.Context()); err != nil || len(due) != 0 {
		t.Errorf("due: %+v, %v", due, err)
	}
}

// Two instances that work at the same time send each message once.
func TestWorkersShare(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const count = 50
		o := newTestOutbox(t, engine, &mailtest.Server{})
		var emails []string
		for i := range count {
			emails = append(emails, fmt.Sprintf("user%02d@example.org", i))
		}
		enqueue(t, o.Outbox, emails...)

		stop, stopOther := start(t, o.Outbox, messages), start(t, o.instance(t), messages)
		var got []string
		for range count {
			got = append(got, await(t, o.server.Received).To)
		}
		stop()
		stopOther()
		slices.Sort(got)
		if !slices.Equal(got, emails) || len(o.server.Received) != 0 {
			t.Errorf("got %v and %d more", got, len(o.server.Received))
		}
		noEntries(t, o.Outbox)
	})
}

// If Compose returns no message, nothing is sent and the row is deleted.
func TestNothingToSend(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		stop := start(t, o.Outbox, map[Kind]Compose{
			testKind: func(context.Context, *Entry) (*Message, error) { return nil, nil },
		})
		enqueue(t, o.Outbox, "nobody@example.org")
		o.log.until(t, "email processed")
		stop()
		noEntries(t, o.Outbox)
		if seen := o.server.ClientBytes(); seen != "" {
			t.Errorf("the mail server received %q", seen)
		}
	})
}

// An email that was stored, claimed or postponed while a clock was ahead is sent when the clock is
// right.
func TestClockWasAhead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		o.clock.advance(time.Hour)
		enqueue(t, o.Outbox, "ada@example.org")
		o.clock.advance(-time.Hour)
		drain(t, o.Outbox)
		noEntries(t, o.Outbox)
		if len(o.server.Received) != 1 {
			t.Errorf("%d emails were sent", len(o.server.Received))
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
		o := newTestOutbox(t, engine, &mailtest.Server{})
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
		due, err := o.due(t.Context())
		if err != nil || len(due) != 3 {
			t.Fatal(due, err)
		}
		first := &due[0]
		if claimed, err := o.claim(t.Context(), first); !claimed || err != nil {
			t.Fatal(claimed, err)
		}
		expect(Backlog{Messages: 3, Due: 2, Oldest: 61 * time.Second})
		if err := o.giveUp(t.Context(), first, errors.New("rejected")); err != nil {
			t.Fatal(err)
		}
		expect(Backlog{Messages: 2, Due: 2, Dead: 1, Oldest: time.Second})
	})
}
