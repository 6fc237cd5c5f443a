package database_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

func newUser(email string) *auth.User {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return &auth.User{
		ID: uuid.Must(uuid.NewV7()), Name: "Ada", Email: email, PasswordHash: "x", Generation: 1,
		CreatedAt: now, UpdatedAt: now,
	}
}

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Several instances migrate an empty database at the same time.
func TestInstancesMigrateAtOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.Empty(t, engine)
		var instances sync.WaitGroup
		start := make(chan struct{})
		if err := open(t, url).CheckSchema(t.Context()); !errors.Is(err, database.ErrSchema) {
			t.Errorf("an empty database: %v", err)
		}
		for range 8 {
			db := open(t, url)
			instances.Go(func() {
				<-start
				if err := db.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
				if err := db.CheckSchema(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		instances.Wait()
		newer := open(t, url)
		insert := "INSERT INTO schema_migrations (version_id, is_applied) VALUES (99999, true)"
		if err := newer.WithContext(t.Context()).Exec(insert).Error; err != nil {
			t.Fatal(err)
		}
		if err := newer.CheckSchema(t.Context()); !errors.Is(err, database.ErrSchema) {
			t.Errorf("a newer schema: %v", err)
		}
	})
}

// A database with unknown migrations is refused with an explanation, and not changed. Databases
// from before the first release have versions that this program does not know.
func TestUnknownMigrationsAreRefused(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := open(t, databasetest.URL(t, engine))
		insert := "INSERT INTO schema_migrations (version_id, is_applied) VALUES (99, true)"
		if err := db.WithContext(t.Context()).Exec(insert).Error; err != nil {
			t.Fatal(err)
		}
		err := db.Migrate(t.Context())
		if !errors.Is(err, database.ErrSchema) || !strings.Contains(err.Error(), "use another database") {
			t.Errorf("migrate: %v", err)
		}
		var versions []int64
		err = db.WithContext(t.Context()).Table("schema_migrations").
			Order("version_id").Pluck("version_id", &versions).Error
		if err != nil || !slices.Equal(versions, []int64{0, 1, 2, 3, 4, 5, 99}) {
			t.Errorf("versions afterwards: %v, %v", versions, err)
		}
	})
}

// Concurrent writers wait for each other: no transaction fails, and no write is lost.
func TestWritersWaitForEachOther(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.URL(t, engine)
		instances := []*database.DB{open(t, url), open(t, url)}
		const writers, writes = 50, 4
		var running sync.WaitGroup
		for writer := range writers {
			db := instances[writer%2]
			running.Go(func() {
				for write := range writes {
					err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
						var users int64
						if err := tx.Model(&auth.User{}).Count(&users).Error; err != nil { // a read before the write
							return err
						}
						return tx.Create(newUser(fmt.Sprintf("%d.%d@example.com", writer, write))).Error
					})
					if err != nil {
						t.Errorf("writer %d: %v", writer, err)
					}
				}
			})
		}
		running.Wait()
		var users int64
		err := instances[0].WithContext(t.Context()).Model(&auth.User{}).Count(&users).Error
		if err != nil || users != writers*writes {
			t.Errorf("%d users, %v", users, err)
		}
	})
}

// A transaction that returns an error is rolled back. One whose context is canceled is committed.
func TestTransaction(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		refuse := errors.New("refused")
		err := db.Transaction(t.Context(), func(tx *gorm.DB) error {
			if err := tx.Create(newUser("a@example.com")).Error; err != nil {
				return err
			}
			return refuse
		})
		if !errors.Is(err, refuse) {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = db.Transaction(ctx, func(tx *gorm.DB) error {
			cancel() // the client disconnects
			return tx.Create(newUser("b@example.com")).Error
		})
		if err != nil {
			t.Errorf("canceled: %v", err)
		}
		var emails []string
		err = db.WithContext(t.Context()).Model(&auth.User{}).Pluck("email", &emails).Error
		if err != nil || !slices.Equal(emails, []string{"b@example.com"}) {
			t.Errorf("%v, %v", emails, err)
		}
	})
}

// link is a row whose foreign key is checked at the commit.
type link struct {
	ID     int64 `gorm:"primaryKey"`
	Target int64
}

// If Statement returns nil, the statement is committed, even if the context is canceled. If the
// commit fails, Statement returns an error, even if the statement has returned rows before.
func TestStatementIsCommitted(t *testing.T) {
	createTable := `CREATE TABLE links (
		id BIGINT PRIMARY KEY,
		target BIGINT REFERENCES links (id) DEFERRABLE INITIALLY DEFERRED
	)`
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for name, test := range map[string]struct {
			statement func(tx *gorm.DB) error
			ok        bool
		}{
			"a row that refers to itself": {
				func(tx *gorm.DB) error { return tx.Create(&link{ID: 2, Target: 2}).Error },
				true,
			},
			"a row that refers to no row": {
				func(tx *gorm.DB) error { return tx.Create(&link{ID: 2, Target: 7}).Error },
				false,
			},
			"a row that is returned": {
				func(tx *gorm.DB) error {
					update := tx.Model(&link{}).Clauses(clause.Returning{}).Where("id = 1")
					return update.Updates(map[string]any{"target": 7}).Error
				},
				false,
			},
		} {
			db := databasetest.New(t, engine)
			for _, setup := range []string{createTable, "INSERT INTO links VALUES (1, 1)"} {
				if err := db.WithContext(t.Context()).Exec(setup).Error; err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			err := db.Statement(ctx, func(tx *gorm.DB) error {
				cancel() // the client disconnects
				return test.statement(tx)
			})
			want := []link{{1, 1}}
			if test.ok {
				want = append(want, link{2, 2})
			}
			if (err == nil) != test.ok {
				t.Errorf("%s: %v", name, err)
			}
			var links []link
			err = db.WithContext(t.Context()).Order("id").Find(&links).Error
			if err != nil || !slices.Equal(links, want) {
				t.Errorf("%s: %v, %v, want %v", name, links, err, want)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		if err := db.WithContext(t.Context()).Create(newUser("a@example.com")).Error; err != nil {
			t.Fatal(err)
		}
		err := db.WithContext(t.Context()).Create(newUser("a@example.com")).Error
		if !errors.Is(err, gorm.ErrDuplicatedKey) {
			t.Errorf("a duplicate: %v", err)
		}
		session := &auth.Session{ID: uuid.Must(uuid.NewV7()), UserID: uuid.Must(uuid.NewV7())}
		if err := db.WithContext(t.Context()).Create(session).Error; !errors.Is(err, gorm.ErrForeignKeyViolated) {
			t.Errorf("a session without a user: %v", err)
		}
		for _, wrong := range []string{"SELECT nothing FROM nowhere", `SELECT "nothing" FROM users`} {
			err := db.WithContext(t.Context()).Exec(wrong).Error
			if err == nil || errors.Is(err, database.ErrUnavailable) {
				t.Errorf("%s: %v", wrong, err)
			}
		}
		late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		err = db.Transaction(late, func(tx *gorm.DB) error { return tx.Create(newUser("b@example.com")).Error })
		if !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("after the deadline: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"read":         db.WithContext(t.Context()).Take(&auth.User{}).Error,
			"write":        db.WithContext(t.Context()).Create(newUser("c@example.com")).Error,
			"transaction":  db.Transaction(t.Context(), func(*gorm.DB) error { return nil }),
			"ping":         db.Ping(t.Context()),
			"check schema": db.CheckSchema(t.Context()),
		} {
			if !errors.Is(err, database.ErrUnavailable) {
				t.Errorf("%s, of a closed database: %v", name, err)
			}
		}
	})
}

// If another process locks the row until the deadline, the error is ErrUnavailable. Writes succeed
// when the lock is released.
func TestLockedByAnotherProcess(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		url := databasetest.URL(t, engine)
		db, other := open(t, url), open(t, url)
		user := newUser("a@example.com")
		if err := db.WithContext(t.Context()).Create(user).Error; err != nil {
			t.Fatal(err)
		}
		rename := func(ctx context.Context, db *database.DB) error {
			return db.Transaction(ctx, func(tx *gorm.DB) error {
				return tx.Model(&auth.User{}).Where("id = ?", user.ID).Update("name", "Grace").Error
			})
		}
		locking := other.WithContext(t.Context()).Begin()
		if err := locking.Model(&auth.User{}).Where("id = ?", user.ID).Update("name", "Alan").Error; err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := rename(short, db); !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("locked: %v", err)
		}
		if err := locking.Rollback().Error; err != nil {
			t.Fatal(err)
		}
		if err := rename(t.Context(), db); err != nil {
			t.Errorf("after the lock was released: %v", err)
		}
	})
}

func TestTimesAndTextAreStoredExactly(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		user := newUser("a@example.com")
		user.Name, user.CreatedAt = "Ada ' \" \\ 🐎 %s\n", time.Date(2026, 3, 29, 1, 30, 0, 120_000_000, time.UTC)
		if err := db.WithContext(t.Context()).Create(user).Error; err != nil {
			t.Fatal(err)
		}
		var got auth.User
		before, after := user.CreatedAt.Add(-time.Microsecond), user.CreatedAt.Add(time.Microsecond)
		err := db.WithContext(t.Context()).
			Where("created_at > ? AND created_at < ?", before, after).
			Take(&got).Error
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != user.Name || !got.CreatedAt.Equal(user.CreatedAt) || got.ID != user.ID || got.DisabledAt != nil {
			t.Errorf("%+v", got)
		}
	})
}

// Both engines store microseconds, and compare times as instants, whatever their time zone.
func TestTimesCompareAlike(t *testing.T) {
	east := time.FixedZone("", 5*60*60)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		stored := time.Date(2026, 3, 29, 1, 30, 0, 123_456_789, time.UTC)
		for name, at := range map[string]time.Time{"in UTC": stored, "in another zone": stored.In(east)} {
			user := newUser(name)
			user.CreatedAt = at
			if err := db.WithContext(t.Context()).Create(user).Error; err != nil {
				t.Fatal(err)
			}
			for _, limit := range []time.Time{stored, stored.In(east)} {
				for want, since := range map[int64]time.Time{1: limit, 0: limit.Add(time.Microsecond)} {
					var found int64
					err := db.WithContext(t.Context()).Model(&auth.User{}).
						Where("id = ? AND created_at >= ?", user.ID, since).
						Count(&found).Error
					if err != nil || found != want {
						t.Errorf("%s: %d rows since %s, %v", name, found, since, err)
					}
				}
			}
			var got auth.User
			if err := db.WithContext(t.Context()).Where("id = ?", user.ID).Take(&got).Error; err != nil ||
				!got.CreatedAt.Equal(stored.Truncate(time.Microsecond)) {
				t.Errorf("%s: %s, %v", name, got.CreatedAt, err)
			}
		}
	})
}

// If the server refuses the connection, whatever its reason, the error is ErrUnavailable: an
// operator can fix it.
func TestRefusedConnection(t *testing.T) {
	databaseURL, err := url.Parse(databasetest.Empty(t, databasetest.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	databaseURL.Path = "/no_such_database"
	if _, err := database.Open(t.Context(), databaseURL.String()); !errors.Is(err, database.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "with space & %41?#.db")
	db := open(t, "sqlite:"+path)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000",
		"temp_store": "2",
	} {
		var got string
		read := func(tx *gorm.DB) error { return tx.Raw("PRAGMA " + pragma).Scan(&got).Error }
		if err := read(db.WithContext(t.Context())); err != nil || got != want {
			t.Errorf("%s of the readers is %q, %v", pragma, got, err)
		}
		if err := db.Transaction(t.Context(), read); err != nil || got != want {
			t.Errorf("%s of the writer is %q, %v", pragma, got, err)
		}
	}
	var readOnly bool
	if err := db.WithContext(t.Context()).Raw("PRAGMA query_only").Scan(&readOnly).Error; err != nil || !readOnly {
		t.Errorf("the readers can write: %v", err)
	}
}

// The limit is a literal: SQLite would prepare the statement again for a bound value.
func TestSQLiteLimitIsLiteral(t *testing.T) {
	dry := databasetest.New(t, databasetest.SQLite).WithContext(t.Context()).Session(&gorm.Session{DryRun: true})
	for want, query := range map[string]*gorm.DB{
		"LIMIT 1":           dry.Take(&auth.User{}),
		"LIMIT 3 OFFSET 2":  dry.Limit(3).Offset(2).Find(&[]auth.User{}),
		"LIMIT -1 OFFSET 2": dry.Offset(2).Find(&[]auth.User{}),
	} {
		if got := query.Statement.SQL.String(); query.Error != nil || !strings.HasSuffix(got, " "+want) {
			t.Errorf("%s: %s, %v", want, got, query.Error)
		}
	}
}

// CheckURL finds what Open would refuse, and does not quote the URL.
func TestCheckURL(t *testing.T) {
	for _, valid := range []string{
		"postgres://u:p@127.0.0.1:1/x", "postgres:///x?host=/tmp",
		"postgresql://h,other/x?target_session_attrs=primary&sslmode=disable",
	} {
		if err := database.CheckURL(valid); err != nil {
			t.Errorf("%s: %v", valid, err)
		}
	}
	for _, invalid := range []string{
		"postgres://u:canary@[bad", "postgres://u:canary@h:99999999/x", "postgres://u:canary%zz@h/x",
		"postgres://u:ca nary@h/x", "postgres://h/x?password=canary&sslmode=perhaps",
		"postgres://h/x?password=canary&connect_timeout=soon", "postgres://h:canary/x", "postgres://h/x?password=canary%zz",
	} {
		err := database.CheckURL(invalid)
		if err == nil || strings.Contains(err.Error(), "nary") {
			t.Errorf("%s: %v", invalid, err)
		}
	}
}

func TestErrorsOfOpen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for url, want := range map[string]string{
		"mysql://x":                         "must begin with sqlite: or postgres://",
		"postgres://u:canary@[bad":          "not valid",
		"postgres://u:canary@127.0.0.1:1/x": "reach database",
		"sqlite:/nowhere/at/all.db":         "no such file or directory",
	} {
		_, err := database.Open(ctx, url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
