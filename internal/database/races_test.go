package database_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// serializable returns the URL of a database whose transactions are serializable by default, as
// operators can configure it.
func serializable(t *testing.T) string {
	t.Helper()
	return databasetest.URL(t, databasetest.Postgres) + "&default_transaction_isolation=serializable"
}

// counters creates a table with two counters, which are 0.
func counters(t *testing.T, db *database.DB) {
	t.Helper()
	for _, statement := range []string{
		"CREATE TABLE counters (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)",
		"INSERT INTO counters VALUES (1, 0), (2, 0)",
	} {
		if err := db.WithContext(t.Context()).Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
}

func requireCounters(t *testing.T, db *database.DB, want ...int64) {
	t.Helper()
	var values []int64
	err := db.WithContext(t.Context()).Raw("SELECT value FROM counters ORDER BY id").Scan(&values).Error
	if err != nil || len(values) != len(want) || values[0] != want[0] || values[1] != want[1] {
		t.Errorf("the counters are %v, want %v, %v", values, want, err)
	}
}

// PostgreSQL refuses one of two serializable transactions that read and write the same row. It runs
// again: every increment is stored once.
func TestSerializationFailuresAreRetried(t *testing.T) {
	t.Parallel()
	db := open(t, serializable(t))
	counters(t, db)
	var first sync.WaitGroup
	first.Add(2)
	var calls atomic.Int64
	increment := func() error {
		try := 0
		return db.Transaction(t.Context(), func(tx *gorm.DB) error {
			calls.Add(1)
			var value int64
			if err := tx.Raw("SELECT value FROM counters WHERE id = 1").Scan(&value).Error; err != nil {
				return err
			}
			if try++; try == 1 { // both have read before one of them writes
				first.Done()
				first.Wait()
			}
			return tx.Exec("UPDATE counters SET value = ? WHERE id = 1", value+1).Error
		})
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := increment(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if calls.Load() < 3 {
		t.Errorf("%d calls: no transaction lost the race", calls.Load())
	}
	requireCounters(t, db, 2, 0)
}

// A single statement runs again, too.
func TestStatementsAreRetried(t *testing.T) {
	t.Parallel()
	db := open(t, serializable(t))
	counters(t, db)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for range 10 {
				err := db.Statement(t.Context(), func(db *gorm.DB) error {
					return db.Exec("UPDATE counters SET value = value + 1 WHERE id = 1").Error
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	requireCounters(t, db, 80, 0)
}

// PostgreSQL ends a deadlock by refusing one of the transactions, which runs again.
func TestDeadlocksAreRetried(t *testing.T) {
	t.Parallel()
	db := open(t, databasetest.URL(t, databasetest.Postgres))
	counters(t, db)
	var first sync.WaitGroup
	first.Add(2)
	var calls atomic.Int64
	var both sync.WaitGroup
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		both.Go(func() {
			try := 0
			err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
				calls.Add(1)
				try++
				for i, id := range order {
					if err := tx.Exec("UPDATE counters SET value = value + 1 WHERE id = ?", id).Error; err != nil {
						return err
					}
					if i == 0 && try == 1 { // each has locked one row
						first.Done()
						first.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if calls.Load() < 3 {
		t.Errorf("%d calls: there was no deadlock", calls.Load())
	}
	requireCounters(t, db, 2, 2)
}

// A transaction that loses every race ends with an error.
func TestRetriesAreBounded(t *testing.T) {
	t.Parallel()
	db := open(t, databasetest.URL(t, databasetest.Postgres))
	calls := 0
	err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
		calls++
		return tx.Exec("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$").Error
	})
	if err == nil || !strings.Contains(err.Error(), "lost") || calls < 2 || calls > 50 {
		t.Errorf("%d calls, %v", calls, err)
	}
}
