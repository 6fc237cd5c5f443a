package copydb

import (
	"errors"
	"slices"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// A destination with rows of another installation is refused, and not changed.
func TestForeignDestination(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		fill(t, destination, tables, 100, 102)
		exec(t, destination, "UPDATE health SET checked_at = ?", unserved) // also if no server has used it
		if _, err := New(t.Context(), source, destination); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a destination with other rows: %v", err)
		}
		exec(t, destination, "DELETE FROM signing_keys")
		if _, err := New(t.Context(), source, destination); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a destination with other users, and no keys: %v", err)
		}
		for _, table := range slices.Backward(tables[1:]) {
			if table.name != "audit_events" {
				exec(t, destination, "DELETE FROM "+table.name)
			}
		}
		if _, err := New(t.Context(), source, destination); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a destination with an audit log only: %v", err)
		}
		if got := count(t, destination, "audit_events"); got != 3 {
			t.Errorf("%d rows are left in a destination that was refused, want 3", got)
		}
	})
}

// A second copy would delete what a server has stored in the first one.
func TestServedDestination(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to databasetest.Engine) {
		source, destination := pair(t, from, to)
		copied(t, source, destination)
		copied(t, source, destination) // no server has used it
		if err := destination.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := New(t.Context(), source, destination); !errors.Is(err, ErrServed) {
			t.Errorf("a destination that a server has used: %v", err)
		}
	})
}

// A server works with a schema that has an unknown, additive migration. A copy would leave out its
// columns.
func TestSchemaOfAnotherVersion(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to databasetest.Engine) {
		for _, newer := range []int{0, 1} {
			source, destination := pair(t, from, to)
			db := []*database.DB{source, destination}[newer]
			exec(t, db, "INSERT INTO schema_migrations (version_id, is_applied) VALUES (999, ?)", true)
			exec(t, db, "INSERT INTO additive_migrations (version_id) VALUES (999)")
			if err := db.CheckSchema(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := New(t.Context(), source, destination); !errors.Is(err, database.ErrSchema) {
				t.Errorf("a newer schema: %v", err)
			}
			exec(t, db, "DELETE FROM schema_migrations WHERE version_id > 1")
			if _, err := New(t.Context(), source, destination); !errors.Is(err, database.ErrSchema) {
				t.Errorf("an older schema: %v", err)
			}
		}
	})
}
