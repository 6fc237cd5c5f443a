package database_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func inspectNothing(*database.DB) error { return nil }

// names returns the names of the files in a folder.
func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// emails returns the emails of all users.
func emails(t *testing.T, db *database.DB) (emails []string) {
	t.Helper()
	if err := db.WithContext(t.Context()).Table("users").Order("email").Pluck("email", &emails).Error; err != nil {
		t.Fatal(err)
	}
	return emails
}

// A backup neither waits for an open transaction nor contains any of it. What was committed is in it,
// also if it is only in the write-ahead log.
func TestBackupDuringATransaction(t *testing.T) {
	url := databasetest.URL(t, databasetest.SQLite)
	db, another := open(t, url), open(t, url)
	create := func(tx *gorm.DB, email string) error { return tx.Create(newUser(email)).Error }
	err := db.Statement(t.Context(), func(tx *gorm.DB) error { return create(tx, "committed@example.com") })
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	err = db.Transaction(t.Context(), func(tx *gorm.DB) error {
		if err := create(tx, "open@example.com"); err != nil {
			return err
		}
		return another.Backup(t.Context(), path, inspectNothing)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := emails(t, open(t, "sqlite:"+path)); !slices.Equal(got, []string{"committed@example.com"}) {
		t.Errorf("the backup has %q", got)
	}
	if got := emails(t, db); len(got) != 2 {
		t.Errorf("the database has %q", got)
	}
}

// While users are written, two of them in each transaction, each backup has both or none, and all that
// were confirmed before it started.
func TestBackupWhileOthersWrite(t *testing.T) {
	db := databasetest.New(t, databasetest.SQLite)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var confirmed []string
	var writers sync.WaitGroup
	defer writers.Wait()
	defer stop()
	enough := make(chan struct{})
	for writer := range 3 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				pair := []string{fmt.Sprintf("%d-%d-one@example.com", writer, i), fmt.Sprintf("%d-%d-two@example.com", writer, i)}
				err := db.Transaction(ctx, func(tx *gorm.DB) error { // which ignores that ctx is canceled
					return errors.Join(tx.Create(newUser(pair[0])).Error, tx.Create(newUser(pair[1])).Error)
				})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if confirmed = append(confirmed, pair...); len(confirmed) == 200 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	for i := range 5 {
		mu.Lock()
		before := slices.Clone(confirmed)
		mu.Unlock()
		path := filepath.Join(t.TempDir(), "backup.db")
		if err := db.Backup(t.Context(), path, inspectNothing); err != nil {
			t.Fatal(err)
		}
		found := make(map[string]bool)
		for _, email := range emails(t, open(t, "sqlite:"+path)) {
			found[email] = true
		}
		for _, email := range before {
			if !found[email] {
				t.Errorf("backup %d: %s was confirmed before, and is missing", i, email)
			}
		}
		for email := range found {
			if other := strings.NewReplacer("one", "two", "two", "one").Replace(email); !found[other] {
				t.Errorf("backup %d: %s is there without %s", i, email, other)
			}
		}
	}
}

// A backup is one file that only its owner can read.
func TestBackupFile(t *testing.T) {
	db := databasetest.New(t, databasetest.SQLite)
	folder := t.TempDir()
	path := filepath.Join(folder, "it's a backup.db")
	if err := db.Backup(t.Context(), path, inspectNothing); err != nil {
		t.Fatal(err)
	}
	if got := names(t, folder); !slices.Equal(got, []string{"it's a backup.db"}) {
		t.Errorf("the folder has %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(t.Context(), path, inspectNothing); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second backup to the same file: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the second backup changed the file: %v", err)
	}
}

// A file that appears while the backup runs is not replaced, either.
func TestBackupDoesNotReplaceAFile(t *testing.T) {
	db := databasetest.New(t, databasetest.SQLite)
	path := filepath.Join(t.TempDir(), "backup.db")
	err := db.Backup(t.Context(), path, func(*database.DB) error { return os.WriteFile(path, []byte("mine"), 0o600) })
	if content, read := os.ReadFile(path); !errors.Is(err, fs.ErrExist) || read != nil || string(content) != "mine" {
		t.Errorf("%v; the file is %q, %v", err, content, read)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("the folder has %q", got)
	}
}

// A copy that is not intact does not become a backup.
func TestBackupIsChecked(t *testing.T) {
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		statements []string // of the database before the backup
		inspect    func(*database.DB) error
		want       error
	}{
		"inspect": {nil, func(*database.DB) error { return refused }, refused},
		"a row that refers to none": {[]string{
			"PRAGMA foreign_keys = 0",
			"INSERT INTO previous_emails (user_id, email, position, digest, expires_at) VALUES ('nobody', '', 0, 'x', 0)",
		}, inspectNothing, database.ErrDamaged},
		"a row that its table refuses": {[]string{
			"PRAGMA ignore_check_constraints = 1", "INSERT INTO throttle_key (id, sealed) VALUES (2, 'x')",
		}, inspectNothing, database.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			url := databasetest.URL(t, databasetest.SQLite)
			db := open(t, url)
			for _, statement := range test.statements {
				if err := db.WithContext(t.Context()).Exec(statement).Error; err != nil {
					t.Fatal(err)
				}
			}
			folder := t.TempDir()
			err := open(t, url).Backup(t.Context(), filepath.Join(folder, "backup.db"), test.inspect)
			if !errors.Is(err, test.want) {
				t.Errorf("the backup returns %v", err)
			}
			if got := names(t, folder); len(got) > 0 {
				t.Errorf("the folder has %q", got)
			}
		})
	}
}

// Tools get the URL of the database without its password, and without what only Sesame knows.
func TestToolURL(t *testing.T) {
	for databaseURL, want := range map[string]string{
		"postgres://ada:canary@db.example.com/sesame?sslmode=verify-full&pool_max_conns=5&default_query_exec_mode=exec": "" +
			"postgres://ada@db.example.com/sesame?sslmode=verify-full",
		"postgres://ada@one.example.com:5432,two.example.com:5433/sesame?password=canary&sslpassword=canary": "" +
			"postgres://ada@one.example.com:5432,two.example.com:5433/sesame",
		"postgresql:///sesame?host=/run/postgresql": "postgresql:///sesame?host=%2Frun%2Fpostgresql",
	} {
		if got, err := database.ToolURL(databaseURL); err != nil || got != want {
			t.Errorf("%s becomes %s, %v", databaseURL, got, err)
		}
	}
	_, err := database.ToolURL("postgres://ada:canary%zz@db.example.com")
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("the error is %v", err)
	}
}
