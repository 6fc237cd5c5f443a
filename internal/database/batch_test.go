package database_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// A batch, like a transaction, stores all of its statements, or none of them, whatever fails.
func TestBatch(t *testing.T) {
	createTable := `CREATE TABLE links (
		id BIGINT PRIMARY KEY,
		target BIGINT REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED
	)`
	refuse := errors.New("refused")
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for name, test := range map[string]struct {
			last func(tx *gorm.DB) error
			want error // nil: any, unless ok
			ok   bool
		}{
			"nothing fails":       {last: func(tx *gorm.DB) error { return addLink(tx, 2, 1) }, ok: true},
			"work fails":          {last: func(*gorm.DB) error { return refuse }, want: refuse},
			"a statement fails":   {last: func(tx *gorm.DB) error { return addLink(tx, 1, 1) }},
			"the commit fails":    {last: func(tx *gorm.DB) error { return addLink(tx, 2, 3) }},
			"a condition is true": {last: func(tx *gorm.DB) error { return database.Require(tx, oneLink, 1) }, ok: true},
			"a condition is false": {
				last: func(tx *gorm.DB) error { return database.Require(tx, oneLink, 2) }, want: database.ErrRequired,
			},
		} {
			for kind, run := range map[string]func(*database.DB, context.Context, func(*gorm.DB) error) error{
				"batch": (*database.DB).Batch, "transaction": (*database.DB).Transaction,
			} {
				db := databasetest.New(t, engine)
				if err := db.WithContext(t.Context()).Exec(createTable).Error; err != nil {
					t.Fatal(err)
				}
				err := run(db, t.Context(), func(tx *gorm.DB) error {
					if err := addLink(tx, 1, 1); err != nil {
						return err
					}
					return test.last(tx)
				})
				if (err == nil) != test.ok || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("%s, %s: %v", kind, name, err)
				}
				var links int64
				if err := db.WithContext(t.Context()).Model(&link{}).Count(&links).Error; err != nil {
					t.Fatal(err)
				}
				if (links > 0) != test.ok {
					t.Errorf("%s, %s: %d rows", kind, name, links)
				}
			}
		}
	})
}

func addLink(tx *gorm.DB, id, target int64) error {
	return tx.Exec("INSERT INTO links (id, target) VALUES (?, ?)", id, target).Error
}

const oneLink = "EXISTS (SELECT 1 FROM links WHERE id = ?)"

// The values of a batch are stored like those of a transaction.
func TestBatchStoresTheSame(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		one, other := newUser("a@example.com"), newUser("b@example.com")
		bio := "é\u2028"
		for _, user := range []*auth.User{one, other} {
			user.Bio, user.EmailVerifiedAt = &bio, &user.CreatedAt
		}
		err := errors.Join(
			db.Transaction(t.Context(), func(tx *gorm.DB) error { return tx.Create(one).Error }),
			db.Batch(t.Context(), func(tx *gorm.DB) error { return tx.Create(other).Error }),
		)
		var read [2]auth.User
		for i, user := range []*auth.User{one, other} {
			err = errors.Join(err, db.WithContext(t.Context()).Where("id = ?", user.ID).Take(&read[i]).Error)
		}
		if err != nil {
			t.Fatal(err)
		}
		if *read[1].Bio != bio || !read[1].EmailVerifiedAt.Equal(other.CreatedAt) || read[1].DisabledAt != nil {
			t.Errorf("stored %+v", read[1])
		}
		read[1].ID, read[1].Email = read[0].ID, read[0].Email
		read[1].CreatedAt, read[1].UpdatedAt, read[1].EmailVerifiedAt = one.CreatedAt, one.UpdatedAt, one.EmailVerifiedAt
		if *read[0].Bio != *read[1].Bio || read[0].PasswordHash != read[1].PasswordHash {
			t.Errorf("stored %+v and %+v", read[0], read[1])
		}
	})
}

// A batch whose context is done stores nothing.
func TestBatchWithoutTime(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		ctx, cancel := context.WithDeadline(t.Context(), time.Now())
		defer cancel()
		err := db.Batch(ctx, func(tx *gorm.DB) error { return tx.Create(newUser("a@example.com")).Error })
		if !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		err = db.Batch(t.Context(), func(tx *gorm.DB) error { return tx.Create(newUser("a@example.com")).Error })
		if err != nil {
			t.Errorf("the next one: %v", err)
		}
	})
}
