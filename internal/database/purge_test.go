package database_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// Walk passes over each row once, in the order of the ids, whatever the number of rows.
func TestWalk(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		tx := db.WithContext(t.Context())
		stored := 0
		for _, test := range []struct{ rows, steps int }{{0, 1}, {1, 1}, {499, 1}, {500, 1}, {501, 2}, {1250, 3}} {
			for ; stored < test.rows; stored++ {
				user := newUser(uuid.NewString())
				if stored == 0 {
					user.ID = uuid.Max
				}
				if err := tx.Create(user).Error; err != nil {
					t.Fatal(err)
				}
			}
			steps, found, end := 0, int64(0), uuid.Nil
			err := db.Walk(t.Context(), "users", func(after, last uuid.UUID) error {
				if after != end {
					t.Errorf("a range starts at %s, the one before ended at %s", after, end)
				}
				var rows int64
				err := tx.Model(&auth.User{}).Where("id > ? AND id <= ?", after, last).Count(&rows).Error
				steps, found, end = steps+1, found+rows, last
				return err
			})
			if err != nil || steps != test.steps || found != int64(test.rows) {
				t.Errorf("%d rows: found %d in %d steps, %v", test.rows, found, steps, err)
			}
		}
		stop := errors.New("stop")
		if err := db.Walk(t.Context(), "users", func(uuid.UUID, uuid.UUID) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("not stopped: %v", err)
		}
	})
}

// Gently stops when its context is done, and returns the error of its work.
func TestGently(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := database.Gently(ctx, func() error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	failed := errors.New("failed")
	if err := database.Gently(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("failed: %v", err)
	}
}
