package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Backup copies an SQLite database to a new file that only its owner can read, while servers use
// the database. The copy contains every change that was confirmed before the call, and each later
// one completely or not at all. Backup calls inspect with the copy, and gives it its name only if
// it is intact and inspect returns nil. If the file exists, the error is fs.ErrExist.
//
// VACUUM INTO reads a snapshot, like any other reader, so writers do not wait. Rows that were
// deleted are not in the copy, unlike in a copy of the pages, which the backup API of SQLite makes.
// That one also starts from the beginning when another process writes.
func (db *DB) Backup(ctx context.Context, path string, inspect func(*DB) error) (err error) {
	if db.file == nil {
		return errors.New("back up database: only a database of SQLite is a file")
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up database: %s: %w", path, fs.ErrExist)
	}
	path, err = filepath.Abs(path) // VACUUM INTO takes some relative ones for a URI
	if err != nil {
		return fmt.Errorf("back up database: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return fmt.Errorf("back up database: %w", err)
	}
	defer func() { err = errors.Join(err, removeTemp(temp)) }()
	if err := db.copyTo(ctx, temp.Name()); err != nil {
		return fmt.Errorf("back up database: %w", db.explain(plain(err)))
	}
	if err := inspectFile(ctx, temp.Name(), inspect); err != nil {
		return fmt.Errorf("check the backup: %w", err)
	}
	if err := temp.Sync(); err != nil { // of the file, whichever process wrote to it
		return fmt.Errorf("back up database: %w", err)
	}
	return MoveFile(temp.Name(), path)
}

// copyTo copies the database to an empty file.
func (db *DB) copyTo(ctx context.Context, path string) (err error) {
	// Not one of the readers: for SQLite, this is a write, which query_only refuses.
	pool, err := openSQLitePool(db.file.path, "deferred", []string{"busy_timeout(5000)", "temp_store(MEMORY)"}, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if _, err := pool.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return err
	}
	return db.file.check()
}

func inspectFile(ctx context.Context, path string, inspect func(*DB) error) (err error) {
	db, err := openSQLite(ctx, path, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.CheckIntegrity(ctx); err != nil {
		return err
	}
	return inspect(db)
}

func removeTemp(file *os.File) error {
	err := file.Close()
	if removed := os.Remove(file.Name()); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

// CheckIntegrity reads a whole SQLite database. It returns ErrDamaged if a page or an index is
// damaged, or if a row refers to one that does not exist.
func (db *DB) CheckIntegrity(ctx context.Context) error {
	var found []string
	if err := db.WithContext(ctx).Raw("PRAGMA integrity_check(1)").Scan(&found).Error; err != nil {
		return db.explain(plain(err))
	}
	if !slices.Equal(found, []string{"ok"}) {
		return fmt.Errorf("the database is %w: %q", ErrDamaged, found)
	}
	var orphans []struct{ Table, Parent string }
	if err := db.WithContext(ctx).Raw("PRAGMA foreign_key_check").Scan(&orphans).Error; err != nil {
		return db.explain(plain(err))
	}
	if len(orphans) > 0 {
		return fmt.Errorf("the database is %w: rows of %s refer to rows of %s that do not exist (rows: %d)",
			ErrDamaged, orphans[0].Table, orphans[0].Parent, len(orphans))
	}
	return nil
}

// MoveFile gives a synced file another name in the same file system, durably. Unlike a rename, it
// never replaces a file: if there is one, its error is fs.ErrExist.
func MoveFile(from, to string) error {
	if err := os.Link(from, to); err != nil {
		return fmt.Errorf("name %s: %w", to, err)
	}
	if err := os.Remove(from); err != nil {
		return fmt.Errorf("name %s: %w", to, err)
	}
	if runtime.GOOS == "windows" {
		return nil // cannot sync a folder
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
