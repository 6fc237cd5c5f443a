package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/signing"
)

// Restored describes a database that was restored.
type Restored struct {
	Contents                      // of the backup
	Applied  []database.Migration // since the backup
}

// Restore makes a backup the database of the data folder, which must have none. Whatever is wrong
// with the backup, the secret or the folder, the database appears complete, migrated and after
// FinishRestore, or not at all.
func Restore(ctx context.Context, config Config, backup string, keepSessions bool) (restored Restored, err error) {
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(backup + suffix); err == nil && info.Size() > 0 {
			return restored, fmt.Errorf("%s is next to %s, which is thus a database in use and not a backup: "+
				"make one with sesame backup", backup+suffix, backup)
		}
	}
	source, err := os.Open(backup) //nolint:gosec // the operator names the file
	if err != nil {
		return restored, fmt.Errorf("open backup: %w", err)
	}
	defer func() { _ = source.Close() }() // it is only read
	if config.Secret == nil {
		config.Secret, err = readSecretFile(config.SecretFile())
		if errors.Is(err, fs.ErrNotExist) {
			return restored, fmt.Errorf("%s is missing: restore the secret before the database, "+
				"or set SESAME_SECRET to what it contained", config.SecretFile())
		}
		if err != nil {
			return restored, err
		}
	}
	place := config.databaseFile()
	folder, err := openRestoreFolder(config.DataDir)
	if err != nil {
		return restored, err
	}
	defer func() { err = errors.Join(err, folder.close(err != nil)) }()
	config.DataDir = folder.temp // the copy is a database like any other, which nobody else uses
	if err := copyDatabase(source, config.databaseFile()); err != nil {
		return restored, err
	}
	if restored, err = prepare(ctx, config, keepSessions); err != nil {
		if errors.Is(err, database.ErrDamaged) && strings.Contains(err.Error(), folder.temp) {
			return restored, fmt.Errorf("%s is %w", backup, database.ErrDamaged) // not the copy of it
		}
		return restored, fmt.Errorf("%s cannot be restored: %w", backup, err)
	}
	return restored, database.MoveFile(config.databaseFile(), place)
}

// prepare checks and migrates the copy of a backup, and finishes the restore.
func prepare(ctx context.Context, config Config, keepSessions bool) (restored Restored, err error) {
	if restored.Contents, err = check(ctx, config); err != nil {
		return restored, err
	}
	if restored.Applied, err = Migrate(ctx, config); err != nil {
		return restored, err
	}
	s, err := Open(ctx, config)
	if err != nil {
		return restored, err
	}
	_, _, err = s.FinishRestore(ctx, keepSessions)
	if err := errors.Join(err, s.Close()); err != nil {
		return restored, err
	}
	if exists(config.databaseFile() + "-wal") { // the last connection removes it, unless that fails
		return restored, errors.New("the write-ahead log of the copy remained")
	}
	return restored, syncFile(config.databaseFile())
}

// check returns what is in the copy of a backup, if it is intact.
func check(ctx context.Context, config Config) (contents Contents, err error) {
	db, err := openExisting(ctx, config)
	if err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.CheckIntegrity(ctx); err != nil {
		return contents, err
	}
	return inspect(ctx, db, config.Now)
}

// FinishRestore is the last step of restoring a database, before servers use it: see
// [auth.Service.FinishRestore]. Unless keepSessions is true, it also replaces the signing keys: one
// of them may have been revoked after the backup, and all access tokens are from before it.
func (s *Server) FinishRestore(ctx context.Context, keepSessions bool) (users, sessions int64, err error) {
	users, sessions, err = s.Auth.FinishRestore(ctx, keepSessions)
	if err != nil || keepSessions {
		return users, sessions, err
	}
	keys, err := signing.List(ctx, s.DB, s.config.SigningAlgorithm, s.config.Now())
	if err != nil {
		return users, sessions, err
	}
	for _, key := range keys {
		if err := s.Keys.Revoke(ctx, key.Kid); err != nil && !errors.Is(err, signing.ErrNoSuchKey) {
			return users, sessions, err
		}
	}
	return users, sessions, nil
}

// restoreFolder is a data folder without a database, in which no server runs.
type restoreFolder struct {
	handle *os.File // keeps the lock
	temp   string   // a folder in it
	made   []string // the folders that did not exist, the innermost first
}

// openRestoreFolder creates a data folder if it does not exist.
func openRestoreFolder(path string) (_ *restoreFolder, err error) {
	f := &restoreFolder{}
	for missing := filepath.Clean(path); !exists(missing); missing = filepath.Dir(missing) {
		f.made = append(f.made, missing)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close(true))
		}
	}()
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	if f.handle, err = os.Open(path); err != nil { //nolint:gosec // the operator configured the path
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	if lockAlone(f.handle) {
		return nil, fmt.Errorf("a server uses the data folder %s: stop it first", path)
	}
	// SQLite would take a log that another database left for the one of the restored database.
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		if name := filepath.Join(path, "sesame.db"+suffix); exists(name) {
			return nil, fmt.Errorf("%s exists, and is not replaced: move it, and the files sesame.db-* next to it, "+
				"to another folder first", name)
		}
	}
	if f.temp, err = os.MkdirTemp(path, ".restore-*"); err != nil { // 0700
		return nil, fmt.Errorf("make folder: %w", err)
	}
	return f, nil
}

// close removes the temporary folder and, if the restore failed, the folders that it made.
func (f *restoreFolder) close(failed bool) (err error) {
	if f.temp != "" {
		err = os.RemoveAll(f.temp)
	}
	if f.handle != nil {
		err = errors.Join(err, f.handle.Close())
	}
	if failed {
		for _, folder := range f.made {
			_ = os.Remove(folder) // fails if somebody else uses it by now
		}
	}
	return err
}

func copyDatabase(source io.Reader, to string) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in our folder
	if err != nil {
		return fmt.Errorf("copy backup: %w", err)
	}
	_, err = io.Copy(file, source)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copy backup: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // in our folder
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return errors.Join(file.Sync(), file.Close())
}
