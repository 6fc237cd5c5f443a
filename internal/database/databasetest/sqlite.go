package databasetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
)

func migratedSQLite(t testing.TB) string {
	t.Helper()
	template, err := sqliteTemplate()
	if err != nil {
		t.Fatalf("migrate an SQLite database: %v", err)
	}
	path := filepath.Join(t.TempDir(), "sesame.db")
	if err := os.WriteFile(path, template, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

// sqliteTemplate returns the content of a migrated database file. Each process creates it once.
var sqliteTemplate = sync.OnceValues(func() (content []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	folder, err := os.MkdirTemp("", "sesame-sqlite-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	path := filepath.Join(folder, "sesame.db")
	if err := migrateSQLite(ctx, "sqlite:"+path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// migrateSQLite runs the migrations, and moves their changes from the write-ahead log into the
// database file, because only that file is copied.
func migrateSQLite(ctx context.Context, url string) (err error) {
	db, err := database.Open(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	writer, err := db.WithContext(ctx).DB()
	if err != nil {
		return err
	}
	var busy, frames, moved int
	if err := writer.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved); err != nil {
		return fmt.Errorf("move the write-ahead log into the file: %w", err)
	}
	if busy != 0 {
		return errors.New("move the write-ahead log into the file: another connection uses it")
	}
	return nil
}
