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

// counting makes a statement run for minutes if nothing interrupts it.
const counting = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000000) "

// A deadline interrupts a statement: Transaction returns ErrUnavailable soon after it and rolls
// back, and the next transaction succeeds.
func TestDeadlineInterruptsAStatement(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		if err := db.WithContext(t.Context()).Exec("CREATE TABLE numbers (i BIGINT)").Error; err != nil {
			t.Fatal(err)
		}
		for name, statement := range map[string]func(tx *gorm.DB) error{
			"a long write": func(tx *gorm.DB) error {
				return tx.Exec(counting + "INSERT INTO numbers SELECT i FROM n").Error
			},
			"a read of one row": func(tx *gorm.DB) error {
				var count int64
				return tx.Raw(counting + "SELECT COUNT(*) FROM n").Scan(&count).Error
			},
			"a read of many rows": func(tx *gorm.DB) error {
				rows, err := tx.Raw(counting + "SELECT i FROM n").Rows()
				if err != nil {
					return err
				}
				last := 0
				for rows.Next() && err == nil {
					err = rows.Scan(&last)
				}
				return errors.Join(err, rows.Err(), rows.Close())
			},
		} {
			started := time.Now()
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := db.Transaction(short, func(tx *gorm.DB) error {
				if err := tx.Create(newUser("a@example.com")).Error; err != nil {
					return err
				}
				return statement(tx)
			})
			cancel()
			if !errors.Is(err, database.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(started); took > 10*time.Second {
				t.Errorf("%s took %s", name, took)
			}
			var users, numbers int64
			err = errors.Join(
				db.WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error,
				db.WithContext(t.Context()).Table("numbers").Count(&numbers).Error,
			)
			if err != nil || users != 0 || numbers != 0 {
				t.Errorf("%s left %d users and %d numbers, %v", name, users, numbers, err)
			}
		}
		err := db.Transaction(t.Context(), func(tx *gorm.DB) error { return tx.Create(newUser("a@example.com")).Error })
		if err != nil {
			t.Errorf("the next transaction: %v", err)
		}
	})
}
