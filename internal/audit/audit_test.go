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

// record writes one event that its detail names.
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

// More events than fit a page, many of one time, come in order, each once; and none when asked to stop.
func TestRead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		events, want := make([]audit.Event, 1203), make([]string, 1203)
		for i := range events {
			want[i] = fmt.Sprint(i)
			events[i] = audit.Event{At: start.Add(time.Duration(i/700) * time.Second), Detail: want[i]}
		}
		if err := db.Transaction(t.Context(), func(tx *gorm.DB) error { return audit.Record(tx, events...) }); err != nil {
			t.Fatal(err)
		}
		if got := read(t, db, audit.Filter{}); !slices.Equal(got, want) {
			t.Errorf("%d events, %v…", len(got), got[:min(5, len(got))])
		}
		if got := read(t, db, audit.Filter{Since: start.Add(time.Second).In(time.FixedZone("", 3600))}); !slices.Equal(got, want[700:]) {
			t.Errorf("%d events since", len(got))
		}
		enough := errors.New("enough")
		if err := audit.Read(t.Context(), db, audit.Filter{}, func(audit.Event) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("not stopped: %v", err)
		}
	})
}

func TestFilter(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		ada, grace := uuid.New(), uuid.New()
		for _, event := range []audit.Event{
			{Kind: audit.Login, Email: "ada@example.com", Detail: "before there was an account"},
			{Kind: audit.Register, Email: "ada@example.com", UserID: ada, Detail: "ada registers"},
			{Kind: audit.Logout, UserID: ada, Detail: "ada leaves"},
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
			{audit.Filter{UserID: ada}, []string{"ada registers", "ada leaves"}},
			{audit.Filter{Email: "ada@example.com"}, []string{"before there was an account", "ada registers", "ada leaves"}},
			{audit.Filter{Email: "ada@example.com", Kinds: []audit.Kind{audit.Logout, audit.Login}}, []string{"before there was an account", "ada leaves"}},
			{audit.Filter{Kinds: []audit.Kind{audit.CreateKey}}, []string{"a key"}},
			{audit.Filter{Since: start.Add(time.Microsecond)}, nil},
		} {
			if got := read(t, db, test.filter); !slices.Equal(got, test.want) {
				t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
			}
		}
	})
}

// Whoever follows sees each event once, also one that was committed after a later one.
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
				t.Fatalf("%q is not seen", want)
			}
		}
		expect("early")
		record(t, db, audit.Event{At: start.Add(time.Hour), Detail: "late"})
		expect("late")
		record(t, db, audit.Event{At: start.Add(time.Hour - 20*time.Second), Detail: "committed after it"})
		expect("committed after it")
		record(t, db, audit.Event{At: start.Add(time.Hour), Detail: "at once"})
		expect("at once")
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("interrupted: %v", err)
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
			if purged, err := audit.Purge(db.WithContext(t.Context()), start.Add(3*time.Second), 2); err != nil || purged != want {
				t.Errorf("purged %d, want %d, %v", purged, want, err)
			}
		}
		if left := read(t, db, audit.Filter{}); !slices.Equal(left, []string{"3", "4"}) {
			t.Errorf("left: %v", left)
		}
	})
}
