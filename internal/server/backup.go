package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
)

// Contents describes a backup.
type Contents struct {
	Users, Sessions int64     // the sessions are the valid ones
	Schema          int64     // the version
	Newest          time.Time // event of the audit log; zero: none
}

// Backup copies the SQLite database to a new file, which does not contain the secret. Servers may
// use the database meanwhile. The copy is complete and intact, or there is none.
func Backup(ctx context.Context, config Config, path string) (contents Contents, err error) {
	db, err := openExisting(ctx, config)
	if err != nil {
		return contents, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.Backup(ctx, path, func(backup *database.DB) (err error) {
		contents, err = inspect(ctx, backup, config.Now)
		return err
	})
	return contents, err
}

// inspect returns what is in a backup. Its schema may be older than that of this program, so that
// an upgrade can begin with a backup.
func inspect(ctx context.Context, db *database.DB, now func() time.Time) (contents Contents, err error) {
	schema, err := db.Schema(ctx)
	if err != nil {
		return contents, err
	}
	if contents.Schema = schema.Version(); contents.Schema == 0 {
		return contents, errors.New("it is not a database of Sesame: it has no schema version")
	}
	if contents.Users, contents.Sessions, err = auth.NewReader(db, now).CountAccounts(ctx); err != nil {
		return contents, err
	}
	contents.Newest, err = audit.Newest(ctx, db)
	return contents, err
}

// SecretPlace returns where the secret is: a file, or a setting.
func (c Config) SecretPlace() string {
	if c.Secret != nil {
		return "the setting SESAME_SECRET"
	}
	return fmt.Sprintf("the file %s", c.SecretFile())
}

// exists reports whether there is a file or folder at path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
