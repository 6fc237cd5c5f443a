package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T, engine databasetest.Engine) *Authority {
	t.Helper()
	return &Authority{
		db: databasetest.New(t, engine), clock: func() time.Time { return noon }, absent: "nobody's",
		settings: Settings{SessionLifetime: time.Hour, IdleLifetime: time.Hour, ResetTokenLifetime: time.Minute, ResetURL: "https://auth.example.test/reset-password"},
	}
}

// newUser stores a user who has a session and a reset token outstanding.
func (a *Authority) newUser(t *testing.T, address string) (*User, *Session) {
	t.Helper()
	user, err := a.insertUser(t.Context(), User{Name: "Ada", Email: address, PasswordHash: "x"}, audit.CreateUser, Client{})
	if err != nil {
		t.Fatal(err)
	}
	session, err := newSession(user, Client{}, noon, a.settings)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := a.open(t.Context(), session, user, "", alone); !opened || err != nil {
		t.Fatal(opened, err)
	}
	if _, err := a.newResetLink(a.db, user.ID); err != nil {
		t.Fatal(err)
	}
	return user, session
}

// alone is a login that nothing is written beside.
func alone(*gorm.DB) error { return nil }

func (a *Authority) stored(t *testing.T, id uuid.UUID) *User {
	t.Helper()
	user, err := userOf(a.db, id)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func (a *Authority) count(t *testing.T, model any) (rows int64) {
	t.Helper()
	if err := a.db.Model(model).Count(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

// events are how many of a kind the record has, the address of the last one, and its detail.
func (a *Authority) events(t *testing.T, kind audit.Kind) (count int, email, detail string) {
	t.Helper()
	var events []audit.Event
	if err := a.db.Where("kind = ?", kind).Order("id").Find(&events).Error; err != nil {
		t.Fatal(err)
	}
	if count = len(events); count > 0 {
		email, detail = events[count-1].Email, events[count-1].Detail
	}
	return count, email, detail
}

// atOnce tells how many of several calls at once said true.
func atOnce(t *testing.T, call func() (bool, error)) int64 {
	t.Helper()
	var all sync.WaitGroup
	var trues atomic.Int64
	for range 8 {
		all.Go(func() {
			said, err := call()
			if err != nil {
				t.Error(err)
			}
			if said {
				trues.Add(1)
			}
		})
	}
	all.Wait()
	return trues.Load()
}

// Of many who disable or enable a user at once, one changes something: the generation goes up by one.
func TestDisableAndEnable(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		a := newAuthority(t, engine)
		user, session := a.newUser(t, "ada@example.com")
		_, bystander := a.newUser(t, "grace@example.com")
		for round := range int64(2) {
			if changes := atOnce(t, func() (bool, error) { return a.DisableUser(t.Context(), user.ID) }); changes != 1 {
				t.Errorf("disabled %d times", changes)
			}
			if now := a.stored(t, user.ID); now.DisabledAt == nil || !now.DisabledAt.Equal(noon) || now.Generation != 2+round {
				t.Errorf("disabled: %+v", now)
			}
			if opened, err := a.open(t.Context(), session, user, "", alone); opened || err != nil {
				t.Errorf("a login while disabled: %v, %v", opened, err)
			}
			if _, err := a.ResetLink(t.Context(), user.ID); !errors.Is(err, ErrUserDisabled) {
				t.Errorf("a reset link while disabled: %v", err)
			}
			if changes := atOnce(t, func() (bool, error) { return a.EnableUser(t.Context(), user.ID) }); changes != 1 {
				t.Errorf("enabled %d times", changes)
			}
			if now := a.stored(t, user.ID); now.DisabledAt != nil || now.Generation != 2+round {
				t.Errorf("enabled: %+v", now)
			}
			if live, err := a.LiveSessions(t.Context(), user.ID); err != nil || len(live) != 0 {
				t.Errorf("enabled: %d sessions came back, %v", len(live), err)
			}
		}
		for _, kind := range []audit.Kind{audit.DisableUser, audit.EnableUser} {
			if count, email, _ := a.events(t, kind); count != 2 || email != "ada@example.com" {
				t.Errorf("%s is recorded %d times, of %s", kind, count, email)
			}
		}
		if tokens := a.count(t, &OneTimeToken{}); tokens != 1 {
			t.Errorf("%d reset tokens, want the bystander's", tokens)
		}
		if live, err := a.LiveSessions(t.Context(), bystander.UserID); err != nil || len(live) != 1 || live[0].ID != bystander.ID {
			t.Errorf("the bystander's sessions: %+v, %v", live, err)
		}
		for name, change := range map[string]func() error{
			"disable": func() error { _, err := a.DisableUser(t.Context(), uuid.New()); return err },
			"enable":  func() error { _, err := a.EnableUser(t.Context(), uuid.New()); return err },
			"revoke":  func() error { _, err := a.RevokeSessions(t.Context(), uuid.New()); return err },
			"link":    func() error { _, err := a.ResetLink(t.Context(), uuid.New()); return err },
			"set":     func() error { return a.SetPassword(t.Context(), uuid.New(), "correct horse battery") },
			"delete":  func() error { return a.DeleteUser(t.Context(), uuid.New()) },
		} {
			if err := change(); !errors.Is(err, ErrUnknownUser) {
				t.Errorf("%s nobody: %v", name, err)
			}
		}
	})
}

// A session counts as live, and as ended by a revocation, if it could go on.
func TestRevokeSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		a := newAuthority(t, engine)
		user, _ := a.newUser(t, "ada@example.com")
		other, _ := a.newUser(t, "grace@example.com")
		disabled, _ := a.newUser(t, "linus@example.com")
		for _, dead := range []Session{
			{Generation: 0, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon, IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour), RevokedAt: &noon},
		} {
			dead.ID, dead.UserID, dead.CreatedAt, dead.RotatedAt = uuid.New(), user.ID, noon, noon
			if err := a.db.Create(&dead).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := a.db.Model(&User{}).Where("id = ?", disabled.ID).Update("disabled_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		if live, err := a.LiveSessions(t.Context(), user.ID); err != nil || len(live) != 1 {
			t.Errorf("%d live sessions, %v", len(live), err)
		}
		for _, want := range []int64{1, 0} {
			if sessions, err := a.RevokeSessions(t.Context(), user.ID); err != nil || sessions != want {
				t.Errorf("%d sessions, want %d, %v", sessions, want, err)
			}
		}
		if users, sessions, err := a.RevokeAllSessions(t.Context()); err != nil || users != 3 || sessions != 1 {
			t.Errorf("%d users, %d sessions, %v", users, sessions, err)
		}
		if count, email, detail := a.events(t, audit.RevokeSessions); count != 3 || email != "" || detail != "of every user" {
			t.Errorf("recorded %d times, at last of %q, %q", count, email, detail)
		}
		for id, generation := range map[uuid.UUID]int64{user.ID: 4, other.ID: 2, disabled.ID: 2} {
			if now := a.stored(t, id); now.Generation != generation {
				t.Errorf("%s: generation %d, want %d", now.Email, now.Generation, generation)
			}
		}
	})
}

// Deleting takes everything that refers to the user, and nothing of others.
func TestDeleteUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		a := newAuthority(t, engine)
		user, _ := a.newUser(t, "ada@example.com")
		other, _ := a.newUser(t, "grace@example.com")
		if err := a.DeleteUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		if err := a.DeleteUser(t.Context(), user.ID); !errors.Is(err, ErrUnknownUser) {
			t.Errorf("deleted twice: %v", err)
		}
		if users, sessions, tokens := a.count(t, &User{}), a.count(t, &Session{}), a.count(t, &OneTimeToken{}); users != 1 || sessions != 1 || tokens != 1 {
			t.Errorf("left are %d users, %d sessions, %d tokens", users, sessions, tokens)
		}
		a.stored(t, other.ID)
		if count, email, _ := a.events(t, audit.DeleteUser); count != 1 || email != "ada@example.com" {
			t.Errorf("recorded %d times, of %q", count, email)
		}
	})
}

// What an operator does and cannot be recorded is not done.
func TestOperatorDoesNothingOffTheRecord(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		a := newAuthority(t, engine)
		a.hasher, a.outbox = password.NewHasher(1, time.Hour), mail.NewOutbox(a.db, nil, slog.New(slog.DiscardHandler), a.clock)
		user, _ := a.newUser(t, "ada@example.com")
		if err := a.db.Migrator().DropTable(&audit.Event{}); err != nil {
			t.Fatal(err)
		}
		var token OneTimeToken
		if err := a.db.Take(&token).Error; err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"create": func() error {
				_, err := a.CreateUser(t.Context(), NewUser{Name: "Grace", Email: "grace@example.com"})
				return err
			},
			"import": func() error {
				_, err := a.ImportUsers(t.Context(), []ImportedUser{{Name: "Grace", Email: "grace@example.com"}}, false)
				return err
			},
			"disable":    func() error { _, err := a.DisableUser(t.Context(), user.ID); return err },
			"revoke":     func() error { _, err := a.RevokeSessions(t.Context(), user.ID); return err },
			"revoke all": func() error { _, _, err := a.RevokeAllSessions(t.Context()); return err },
			"link":       func() error { _, err := a.ResetLink(t.Context(), user.ID); return err },
			"set":        func() error { return a.SetPassword(t.Context(), user.ID, "correct horse battery") },
			"delete":     func() error { return a.DeleteUser(t.Context(), user.ID) },
		} {
			if err := change(); err == nil {
				t.Errorf("%s is done", name)
			}
			if users, now := a.count(t, &User{}), a.stored(t, user.ID); users != 1 || now.Generation != 1 || now.PasswordHash != "x" || now.DisabledAt != nil {
				t.Errorf("%s: %d users, %+v", name, users, now)
			}
			var after OneTimeToken
			if err := a.db.Take(&after).Error; err != nil || string(after.Digest) != string(token.Digest) {
				t.Errorf("%s: the reset token is another one, %v", name, err)
			}
		}
		if err := a.db.Model(&User{}).Where("id = ?", user.ID).Update("disabled_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		if _, err := a.EnableUser(t.Context(), user.ID); err == nil || a.stored(t, user.ID).DisabledAt == nil {
			t.Errorf("enable is done: %v", err)
		}
	})
}

// A login that has found its user when the user is deleted is refused, and is no fault of the server.
func TestLoginOfUserBeingDeleted(t *testing.T) {
	a := newAuthority(t, databasetest.Postgres) // SQLite has one writer: there is no meanwhile
	user, _ := a.newUser(t, "ada@example.com")
	session, err := newSession(user, Client{}, noon, a.settings)
	if err != nil {
		t.Fatal(err)
	}
	opened := true
	err = a.meanwhile(t, func(tx *gorm.DB) error { return tx.Where("id = ?", user.ID).Delete(&User{}).Error },
		func() (err error) { opened, err = a.open(t.Context(), session, user, "", alone); return err })
	if opened || err != nil {
		t.Errorf("opened: %v, %v", opened, err)
	}
}

// meanwhile calls late, which must come to wait for what early has changed, and returns what it ends with once
// early has committed.
func (a *Authority) meanwhile(t *testing.T, early func(*gorm.DB) error, late func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	err := database.Transaction(t.Context(), a.db, func(tx *gorm.DB) error {
		if err := early(tx); err != nil {
			return err
		}
		go func() { ended <- late() }()
		for waiting := int64(0); waiting == 0; {
			if err := a.db.Raw("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error; err != nil {
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

// A reset that has looked at its user when the user is disabled changes nothing.
func TestResetOfUserBeingDisabled(t *testing.T) {
	a := newAuthority(t, databasetest.Postgres)
	a.hasher, a.outbox = password.NewHasher(1, time.Hour), mail.NewOutbox(a.db, nil, slog.New(slog.DiscardHandler), a.clock)
	user, _ := a.newUser(t, "ada@example.com")
	link, err := a.newResetLink(a.db, user.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, resetToken, _ := strings.Cut(link, "#token=")
	mark := func(tx *gorm.DB) error {
		return tx.Exec("UPDATE users SET disabled_at = ? WHERE id = ?", noon, user.ID).Error
	}
	disable := func(tx *gorm.DB) error {
		inside := *a
		inside.db = tx
		_, err := inside.DisableUser(t.Context(), user.ID)
		return err
	}
	for what, early := range []func(*gorm.DB) error{mark, disable} {
		if err := a.db.Exec("UPDATE users SET disabled_at = NULL").Error; err != nil {
			t.Fatal(err)
		}
		late := func() error { return a.ResetPassword(t.Context(), resetToken, "an even better horse", Client{}) }
		if err := a.meanwhile(t, early, late); !errors.Is(err, ErrInvalidReset) {
			t.Errorf("%d: %v", what, err)
		}
		if now := a.stored(t, user.ID); now.PasswordHash != "x" || now.DisabledAt == nil {
			t.Errorf("%d: %+v", what, now)
		}
	}
}

// Users are read in pages, each once, by id: who comes while the first page is looked at is on a later one.
func TestUsersAreReadInPages(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, total := range []int{0, 1, usersPage, 2500} {
			a := newAuthority(t, engine)
			rows := make([]User, total)
			for i := range rows {
				rows[i] = User{ID: uuid.New(), Name: "Ada", Email: fmt.Sprintf("%d@example.com", i), CreatedAt: noon, UpdatedAt: noon}
				if i%3 == 0 {
					rows[i].DisabledAt = &noon
				}
			}
			if total > 0 {
				if err := a.db.CreateInBatches(rows, 50).Error; err != nil {
					t.Fatal(err)
				}
			}
			for onlyDisabled, want := range map[bool]int{false: total, true: (total + 2) / 3} {
				last, read := uuid.Nil.String(), 0
				for user, err := range a.Users(t.Context(), onlyDisabled) {
					if err != nil || user.ID.String() <= last || onlyDisabled && user.DisabledAt == nil {
						t.Fatalf("%+v after %s, %v", user, last, err)
					}
					last = user.ID.String()
					read++
				}
				if read != want {
					t.Errorf("%d users of %d, disabled ones only: %v", read, want, onlyDisabled)
				}
			}
			if total != 2500 {
				continue
			}
			late := User{ID: uuid.Max, Name: "Late", Email: "late@example.com", CreatedAt: noon, UpdatedAt: noon}
			read := 0
			for user, err := range a.Users(t.Context(), false) {
				if err != nil {
					t.Fatal(err)
				}
				if read++; read == 1 {
					if err := a.db.Create(&late).Error; err != nil {
						t.Fatal(err)
					}
				}
				if (read == total+1) != (user.ID == late.ID) {
					t.Fatalf("%d: %s", read, user.ID)
				}
			}
			if read != total+1 {
				t.Errorf("%d users were read", read)
			}
			for _, err := range a.Users(t.Context(), false) { // who has seen enough stops
				if err != nil {
					t.Error(err)
				}
				break
			}
		}
	})
}

func TestUsersTellOfFailure(t *testing.T) {
	a := newAuthority(t, databasetest.SQLite)
	if err := a.db.Migrator().DropTable(&OneTimeToken{}, &Session{}, &User{}); err != nil {
		t.Fatal(err)
	}
	var failure error
	for _, err := range a.Users(t.Context(), false) {
		failure = err
	}
	if failure == nil {
		t.Error("nothing")
	}
}

func TestFindUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		a := newAuthority(t, engine)
		user, _ := a.newUser(t, "ada@example.com")
		for named, want := range map[string]error{
			"ada@example.com": nil, "Ada@Example.COM": nil, user.ID.String(): nil, strings.ToUpper(user.ID.String()): nil,
			"grace@example.com": ErrUnknownUser, "ada@": ErrUnknownUser, "ada": ErrUnknownUser, "": ErrUnknownUser, "%": ErrUnknownUser, uuid.NewString(): ErrUnknownUser,
			uuid.Nil.String(): ErrUnknownUser, "@": ErrUnknownUser,
		} {
			found, err := a.FindUser(t.Context(), named)
			if !errors.Is(err, want) || err == nil && found.ID != user.ID {
				t.Errorf("%q: %+v, %v", named, found, err)
			}
		}
	})
}

// What the contract does not look at is held to the same.
func TestProfileIsChecked(t *testing.T) {
	bio := func(text string) *string { return &text }
	for _, test := range []struct {
		name string
		bio  *string
		want error
	}{
		{"A", nil, nil}, {strings.Repeat("é", MaxName), bio(strings.Repeat("é", MaxBio)), nil}, {"Ada", bio(""), nil},
		{"", nil, ErrName}, {strings.Repeat("é", MaxName+1), nil, ErrName}, {"A\x00", nil, ErrName}, {"A\xff", nil, ErrName},
		{"Ada", bio(strings.Repeat("é", MaxBio+1)), ErrBio}, {"Ada", bio("\x00"), ErrBio}, {"Ada", bio("\xff"), ErrBio},
	} {
		if err := checkProfile(test.name, test.bio); !errors.Is(err, test.want) {
			t.Errorf("%q: %v", test.name, err)
		}
		a := &Authority{}
		if test.want != nil {
			if _, err := a.CreateUser(t.Context(), NewUser{Name: test.name, Bio: test.bio, Email: "ada@example.com"}); !errors.Is(err, test.want) {
				t.Errorf("create %q: %v", test.name, err)
			}
		}
	}
}
