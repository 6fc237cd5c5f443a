package databasetest

import (
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Meanwhile starts late during the transaction of early on PostgreSQL, commits the transaction once
// late waits for a lock, and returns the error of late.
func Meanwhile(t testing.TB, db *database.DB, early func(*gorm.DB) error, late func() error) error {
	t.Helper()
	const countWaiting = `
		SELECT COUNT(*) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`
	ended := make(chan error, 1)
	err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
		if err := early(tx); err != nil {
			return err
		}
		go func() { ended <- late() }()
		for waiting := int64(0); waiting == 0; {
			if err := db.WithContext(t.Context()).Raw(countWaiting).Scan(&waiting).Error; err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return <-ended
}
