package database

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrDamaged is returned if a file is not a valid SQLite database.
var ErrDamaged = errors.New("damaged, or is not an SQLite database")

// sqliteFile is the file of an open SQLite database. On Unix a file can be removed while it is
// open: SQLite then goes on writing to a file that is deleted when the process ends.
type sqliteFile struct {
	path   string
	opened fs.FileInfo // of the file that was opened
	wal    bool        // there is a write-ahead log next to it
}

// openedFile returns the file at path, which was just opened.
func openedFile(path string) (*sqliteFile, error) {
	opened, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	_, err = os.Stat(path + "-wal")
	return &sqliteFile{path: path, opened: opened, wal: err == nil}, nil
}

// check returns ErrUnavailable if the file, its write-ahead log or their folder was removed, moved
// or replaced since it was opened.
func (f *sqliteFile) check() error {
	now, err := os.Stat(f.path)
	if err == nil && f.wal {
		_, err = os.Stat(f.path + "-wal")
	}
	switch {
	case err != nil:
		err = fmt.Errorf("%w: the database file was removed while it was open: %w", ErrUnavailable, err)
	case !os.SameFile(f.opened, now):
		err = fmt.Errorf("%w: the database file %s was replaced while it was open", ErrUnavailable, f.path)
	default:
		return nil
	}
	const advice = "move it back, or stop the server, restore a backup and start again"
	return fmt.Errorf("%w; %s", err, advice)
}

// explain adds the path of the file and what to do to an error of a damaged SQLite database.
func (db *DB) explain(err error) error {
	if err == nil || db.file == nil {
		return err
	}
	return explainDamage(err, db.file.path)
}

func explainDamage(err error, path string) error {
	if !damaged(err) {
		return err
	}
	return fmt.Errorf("the database %s is %w: stop all servers, keep a copy of the folder, and restore a backup: %w",
		path, ErrDamaged, err)
}

// damaged reports whether err means that a file is not a valid SQLite database.
func damaged(err error) bool {
	onSQLite, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	primary := onSQLite.Code() & 0xff
	return primary == sqlite3.SQLITE_CORRUPT || primary == sqlite3.SQLITE_NOTADB
}
