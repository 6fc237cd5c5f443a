package mail

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mailtest"
)

// events returns the audit log.
func events(t *testing.T, o *Outbox) []string {
	t.Helper()
	var lines []string
	err := audit.Read(t.Context(), o.db, audit.Filter{}, func(e audit.Event) error {
		lines = append(lines, strings.Join([]string{string(e.Kind), string(e.Outcome), e.Email, e.Detail}, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// kill gives up the emails that are due.
func kill(t *testing.T, o *Outbox, reason string) {
	t.Helper()
	due, err := o.due(t.Context())
	if err != nil || len(due) == 0 {
		t.Fatal(due, err)
	}
	for _, entry := range due {
		if err := o.giveUp(t.Context(), &entry, errors.New(reason)); err != nil {
			t.Fatal(err)
		}
	}
}

func onlyDead(t *testing.T, o *Outbox) Entry {
	t.Helper()
	dead, err := o.Unsent(t.Context(), Filter{Dead: true}, 10)
	if err != nil || len(dead) != 1 || dead[0].DeadAt == nil {
		t.Fatalf("%+v, %v", dead, err)
	}
	return dead[0]
}

// A dead letter that is retried is like a new email: it has another day.
func TestRetryDeadLetters(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org")
		kill(t, o.Outbox, "rejected")
		o.clock.advance(2 * giveUpAfter)
		drain(t, o.Outbox)
		if len(o.server.Received) != 0 {
			t.Error("a dead letter was sent")
		}
		dead := onlyDead(t, o.Outbox)
		if count, err := o.Retry(t.Context(), Filter{ID: dead.ID}); count != 1 || err != nil {
			t.Errorf("retry: %d, %v", count, err)
		}
		got := onlyDue(t, o.Outbox)
		if got.ID != dead.ID || got.DeadAt != nil || got.Attempts != 0 || !got.CreatedAt.Equal(o.now()) {
			t.Errorf("%+v", got)
		}
		drain(t, o.Outbox)
		if len(o.server.Received) != 1 {
			t.Error("not sent")
		}
		noEntries(t, o.Outbox)
		want := []string{
			"email-give-up failure ada@example.org reset password " + dead.ID + ": rejected",
			"email-retry success ada@example.org reset password " + dead.ID + ": rejected",
		}
		if got := events(t, o.Outbox); !slices.Equal(got, want) {
			t.Errorf("events %q", got)
		}
	})
}

// Retry and Drop change the selected emails only, and never one that is being sent.
func TestChangeUnsent(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org")
		kill(t, o.Outbox, "rejected")
		enqueue(t, o.Outbox, "eve@example.org")
		eve := onlyDue(t, o.Outbox)
		if claimed, err := o.claim(t.Context(), eve); !claimed || err != nil {
			t.Fatal(claimed, err)
		}
		for _, id := range []string{eve.ID, uuid.NewString()} {
			if count, err := o.Retry(t.Context(), Filter{ID: id}); count != 0 || !errors.Is(err, ErrUnknownEntry) {
				t.Errorf("retry %s: %d, %v", id, count, err)
			}
		}
		if count, err := o.Drop(t.Context(), Filter{ID: uuid.NewString()}); count != 0 || !errors.Is(err, ErrUnknownEntry) {
			t.Errorf("drop: %d, %v", count, err)
		}
		all := entries(t, o.Outbox)
		if count, err := o.Drop(t.Context(), Filter{ID: all[0].ID}); count != 1 || err != nil {
			t.Errorf("drop: %d, %v", count, err)
		}
		if count, err := o.Retry(t.Context(), Filter{Dead: true}); count != 1 || err != nil {
			t.Errorf("retry: %d, %v", count, err)
		}
		if count, err := o.Drop(t.Context(), Filter{Dead: true}); count != 0 || err != nil {
			t.Errorf("drop: %d, %v", count, err)
		}
		if left := entries(t, o.Outbox); len(left) != 2 || left[0].ID != all[1].ID || left[1].Lease == nil {
			t.Errorf("left: %+v", left)
		}
		want := "email-drop success ada@example.org reset password " + all[0].ID + ": rejected"
		if got := events(t, o.Outbox); !slices.Contains(got, want) {
			t.Errorf("events %q, want %s", got, want)
		}
	})
}

// A dead letter is deleted a week later.
func TestPurgeDeadLetters(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		o := newTestOutbox(t, engine, &mailtest.Server{})
		enqueue(t, o.Outbox, "ada@example.org", "bob@example.org", "eve@example.org")
		kill(t, o.Outbox, strings.Repeat("ä", longestError))
		if got := entries(t, o.Outbox)[0].LastError; got != strings.Repeat("ä", longestError/2) {
			t.Errorf("last error: %d bytes", len(got))
		}
		enqueue(t, o.Outbox, "old@example.org")
		purge := func() (purged int64) {
			err := o.db.Transaction(t.Context(), func(tx *gorm.DB) (err error) {
				purged, err = o.Purge(tx, 2)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return purged
		}
		o.clock.advance(DeadFor - time.Microsecond)
		if purged := purge(); purged != 0 {
			t.Errorf("purged %d too early", purged)
		}
		o.clock.advance(time.Microsecond)
		for _, want := range []int64{2, 1, 0} {
			if purged := purge(); purged != want {
				t.Errorf("purged %d, want %d", purged, want)
			}
		}
		if left := entries(t, o.Outbox); len(left) != 1 || left[0].Email != "old@example.org" {
			t.Errorf("left: %+v", left)
		}
	})
}
