package audit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

var start = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// record writes one event. The tests recognize events by their detail.
func record(t *testing.T, db *database.DB, event audit.Event) {
	t.Helper()
	if err := db.Transaction(t.Context(), func(tx *gorm.DB) error { return audit.Record(tx, event) }); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, db *database.DB, filter audit.Filter) []string {
	t.Helper()
	var details []string
	err := audit.Read(t.Context(), db, filter, func(event audit.Event) error {
		details = append(details, event.Detail)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return details
}

// Read returns each event once and in order, even if there are several pages and events of the same
// time. It stops if the callback returns an error.
func TestRead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		events, want := make([]audit.Event, 4803), make([]string, 4803)
		for i := range events {
			want[i] = fmt.Sprint(i)
			events[i] = audit.Event{At: start.Add(time.Duration(i/2800) * time.Second), Detail: want[i]}
		}
		for chunk := range slices.Chunk(events, 1000) {
			err := db.Transaction(t.Context(), func(tx *gorm.DB) error { return audit.Record(tx, chunk...) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, db, audit.Filter{}); !slices.Equal(got, want) {
			t.Errorf("%d events, %v…", len(got), got[:min(5, len(got))])
		}
		since := start.Add(time.Second).In(time.FixedZone("", 3600))
		if got := read(t, db, audit.Filter{Since: since}); !slices.Equal(got, want[2800:]) {
			t.Errorf("%d events since %v", len(got), since)
		}
		stop := errors.New("stop")
		err := audit.Read(t.Context(), db, audit.Filter{}, func(audit.Event) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("not stopped: %v", err)
		}
	})
}

func TestFilter(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		ada, grace := uuid.New(), uuid.New()
		const early = "before there was an account"
		for _, event := range []audit.Event{
			{Kind: audit.Login, Email: "ada@example.com", Detail: early},
			{Kind: audit.Register, Email: "ada@example.com", UserID: ada, Detail: "ada registers"},
			{Kind: audit.Logout, UserID: ada, Detail: "ada logs out"},
			{Kind: audit.Register, Email: "grace@example.com", UserID: grace, Detail: "grace registers"},
			{Kind: audit.CreateKey, Detail: "a key"},
		} {
			event.At = start
			record(t, db, event)
		}
		for _, test := range []struct {
			filter audit.Filter
			want   []string
		}{
			{audit.Filter{UserID: ada}, []string{"ada registers", "ada logs out"}},
			{audit.Filter{Email: "ada@example.com"}, []string{early, "ada registers", "ada logs out"}},
			{
				audit.Filter{Email: "ada@example.com", Kinds: []audit.Kind{audit.Logout, audit.Login}},
				[]string{early, "ada logs out"},
			},
			{audit.Filter{Kinds: []audit.Kind{audit.CreateKey}}, []string{"a key"}},
			{audit.Filter{Since: start.Add(time.Microsecond)}, nil},
		} {
			if got := read(t, db, test.filter); !slices.Equal(got, test.want) {
				t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
			}
		}
	})
}

// Follow returns each event once, even one that was committed after a later one.
func TestFollow(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		record(t, db, audit.Event{At: start, Detail: "early"})
		ctx, cancel := context.WithCancel(t.Context())
		seen, ended := make(chan string), make(chan error)
		go func() {
			ended <- audit.Follow(ctx, db, audit.Filter{Since: start}, time.Millisecond, func(event audit.Event) error {
				seen <- event.Detail
				return nil
			})
		}()
		expect := func(want string) {
			t.Helper()
			select {
			case got := <-seen:
				if got != want {
					t.Errorf("%q, want %q", got, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("no event within 20 s, want %q", want)
			}
		}
		expect("early")
		record(t, db, audit.Event{At: start.Add(time.Hour), Detail: "late"})
		expect("late")
		record(t, db, audit.Event{At: start.Add(time.Hour - 20*time.Second), Detail: "committed after a later one"})
		expect("committed after a later one")
		record(t, db, audit.Event{At: start.Add(time.Hour), Detail: "at the same time"})
		expect("at the same time")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("canceled: %v", err)
		}
	})
}

func TestPurge(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		for i := range 5 {
			record(t, db, audit.Event{At: start.Add(time.Duration(i) * time.Second), Detail: fmt.Sprint(i)})
		}
		for _, want := range []int64{2, 1, 0} {
			purged, err := audit.Purge(db.WithContext(t.Context()), start.Add(3*time.Second), 2)
			if err != nil || purged != want {
				t.Errorf("purged %d, want %d, %v", purged, want, err)
			}
		}
		if left := read(t, db, audit.Filter{}); !slices.Equal(left, []string{"3", "4"}) {
			t.Errorf("left: %v", left)
		}
	})
}
