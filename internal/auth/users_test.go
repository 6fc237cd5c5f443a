package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/throttle"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func newService(t *testing.T, engine databasetest.Engine) *Service {
	t.Helper()
	db, now := databasetest.New(t, engine), func() time.Time { return noon }
	return &Service{
		db: db, dummyHash: "no user's",
		throttle: throttle.New(throttle.Config{DB: db, Secret: secret.Secret("the secret of a test, 32 bytes.."), Now: now}),
		config: Config{
			SessionLifetime: time.Hour, IdleLifetime: time.Hour, ResetTokenLifetime: time.Minute,
			ResetURL: "https://auth.example.test/reset-password", Now: now,
		},
	}
}

// newUser stores a user who has a session and a reset token outstanding.
func (s *Service) newUser(t *testing.T, address string) (*User, *Session) {
	t.Helper()
	user, err := s.insertUser(t.Context(), User{Name: "Ada", Email: address, PasswordHash: "x"}, audit.CreateUser, Client{})
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.newSession(user, Client{})
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := s.createSession(t.Context(), session, user, "", alone); !opened || err != nil {
		t.Fatal(opened, err)
	}
	if _, err := s.newResetLink(s.db.WithContext(t.Context()), user.ID); err != nil {
		t.Fatal(err)
	}
	return user, session
}

// alone is a login that nothing is written beside.
func alone(*gorm.DB) error { return nil }

func (s *Service) stored(t *testing.T, id uuid.UUID) *User {
	t.Helper()
	user, err := userByID(s.db.WithContext(t.Context()), id)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

func (s *Service) count(t *testing.T, model any) (rows int64) {
	t.Helper()
	if err := s.db.WithContext(t.Context()).Model(model).Count(&rows).Error; err != nil {
		t.Fatal(err)
	}
	return rows
}

// events are how many of a kind the record has, the address of the last one, and its detail.
func (s *Service) events(t *testing.T, kind audit.Kind) (count int, email, detail string) {
	t.Helper()
	var events []audit.Event
	if err := s.db.WithContext(t.Context()).Where("kind = ?", kind).Order("id").Find(&events).Error; err != nil {
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
		s := newService(t, engine)
		user, session := s.newUser(t, "ada@example.com")
		_, bystander := s.newUser(t, "grace@example.com")
		for round := range int64(2) {
			if changes := atOnce(t, func() (bool, error) { return s.DisableUser(t.Context(), user.ID) }); changes != 1 {
				t.Errorf("disabled %d times", changes)
			}
			if now := s.stored(t, user.ID); now.DisabledAt == nil || !now.DisabledAt.Equal(noon) || now.Generation != 2+round {
				t.Errorf("disabled: %+v", now)
			}
			if opened, err := s.createSession(t.Context(), session, user, "", alone); opened || err != nil {
				t.Errorf("a login while disabled: %v, %v", opened, err)
			}
			if _, err := s.ResetLink(t.Context(), user.ID); !errors.Is(err, ErrUserDisabled) {
				t.Errorf("a reset link while disabled: %v", err)
			}
			if changes := atOnce(t, func() (bool, error) { return s.EnableUser(t.Context(), user.ID) }); changes != 1 {
				t.Errorf("enabled %d times", changes)
			}
			if now := s.stored(t, user.ID); now.DisabledAt != nil || now.Generation != 2+round {
				t.Errorf("enabled: %+v", now)
			}
			if live, err := s.LiveSessions(t.Context(), user.ID); err != nil || len(live) != 0 {
				t.Errorf("enabled: %d sessions came back, %v", len(live), err)
			}
		}
		for _, kind := range []audit.Kind{audit.DisableUser, audit.EnableUser} {
			if count, email, _ := s.events(t, kind); count != 2 || email != "ada@example.com" {
				t.Errorf("%s is recorded %d times, of %s", kind, count, email)
			}
		}
		if tokens := s.count(t, &OneTimeToken{}); tokens != 1 {
			t.Errorf("%d reset tokens, want the bystander's", tokens)
		}
		if live, err := s.LiveSessions(t.Context(), bystander.UserID); err != nil || len(live) != 1 || live[0].ID != bystander.ID {
			t.Errorf("the bystander's sessions: %+v, %v", live, err)
		}
		for name, change := range map[string]func() error{
			"disable": func() error { _, err := s.DisableUser(t.Context(), uuid.New()); return err },
			"enable":  func() error { _, err := s.EnableUser(t.Context(), uuid.New()); return err },
			"revoke":  func() error { _, err := s.RevokeSessions(t.Context(), uuid.New()); return err },
			"link":    func() error { _, err := s.ResetLink(t.Context(), uuid.New()); return err },
			"set":     func() error { return s.SetPassword(t.Context(), uuid.New(), "correct horse battery") },
			"delete":  func() error { return s.DeleteUser(t.Context(), uuid.New()) },
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
		s := newService(t, engine)
		user, _ := s.newUser(t, "ada@example.com")
		other, _ := s.newUser(t, "grace@example.com")
		disabled, _ := s.newUser(t, "linus@example.com")
		for _, dead := range []Session{
			{Generation: 0, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon, IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour), RevokedAt: &noon},
		} {
			dead.ID, dead.UserID, dead.CreatedAt, dead.RotatedAt = uuid.New(), user.ID, noon, noon
			if err := s.db.WithContext(t.Context()).Create(&dead).Error; err != nil {
				t.Fatal(err)
			}
		}
		if err := s.db.WithContext(t.Context()).Model(&User{}).Where("id = ?", disabled.ID).Update("disabled_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		if live, err := s.LiveSessions(t.Context(), user.ID); err != nil || len(live) != 1 {
			t.Errorf("%d live sessions, %v", len(live), err)
		}
		for _, want := range []int64{1, 0} {
			if sessions, err := s.RevokeSessions(t.Context(), user.ID); err != nil || sessions != want {
				t.Errorf("%d sessions, want %d, %v", sessions, want, err)
			}
		}
		if users, sessions, err := s.RevokeAllSessions(t.Context()); err != nil || users != 3 || sessions != 1 {
			t.Errorf("%d users, %d sessions, %v", users, sessions, err)
		}
		if count, email, detail := s.events(t, audit.RevokeSessions); count != 3 || email != "" || detail != "of every user" {
			t.Errorf("recorded %d times, at last of %q, %q", count, email, detail)
		}
		for id, generation := range map[uuid.UUID]int64{user.ID: 4, other.ID: 2, disabled.ID: 2} {
			if now := s.stored(t, id); now.Generation != generation {
				t.Errorf("%s: generation %d, want %d", now.Email, now.Generation, generation)
			}
		}
	})
}

// Deleting takes everything that refers to the user, and nothing of others.
func TestDeleteUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.newUser(t, "ada@example.com")
		other, _ := s.newUser(t, "grace@example.com")
		if err := s.DeleteUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(t.Context(), user.ID); !errors.Is(err, ErrUnknownUser) {
			t.Errorf("deleted twice: %v", err)
		}
		if users, sessions, tokens := s.count(t, &User{}), s.count(t, &Session{}), s.count(t, &OneTimeToken{}); users != 1 || sessions != 1 || tokens != 1 {
			t.Errorf("left are %d users, %d sessions, %d tokens", users, sessions, tokens)
		}
		s.stored(t, other.ID)
		if count, email, _ := s.events(t, audit.DeleteUser); count != 1 || email != "ada@example.com" {
			t.Errorf("recorded %d times, of %q", count, email)
		}
	})
}

// What an operator does and cannot be recorded is not done.
func TestOperatorDoesNothingOffTheRecord(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		s.config.Hasher = password.NewHasher(password.Config{AtOnce: 1, Wait: time.Hour})
		s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Log: slog.New(slog.DiscardHandler), Now: s.config.Now})
		user, _ := s.newUser(t, "ada@example.com")
		if err := s.db.WithContext(t.Context()).Migrator().DropTable(&audit.Event{}); err != nil {
			t.Fatal(err)
		}
		var token OneTimeToken
		if err := s.db.WithContext(t.Context()).Take(&token).Error; err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() error{
			"create": func() error {
				_, err := s.CreateUser(t.Context(), NewUser{Name: "Grace", Email: "grace@example.com"})
				return err
			},
			"import": func() error {
				_, err := s.ImportUsers(t.Context(), []ImportedUser{{Name: "Grace", Email: "grace@example.com"}}, false)
				return err
			},
			"disable":    func() error { _, err := s.DisableUser(t.Context(), user.ID); return err },
			"revoke":     func() error { _, err := s.RevokeSessions(t.Context(), user.ID); return err },
			"revoke all": func() error { _, _, err := s.RevokeAllSessions(t.Context()); return err },
			"link":       func() error { _, err := s.ResetLink(t.Context(), user.ID); return err },
			"set":        func() error { return s.SetPassword(t.Context(), user.ID, "correct horse battery") },
			"delete":     func() error { return s.DeleteUser(t.Context(), user.ID) },
		} {
			if err := change(); err == nil {
				t.Errorf("%s is done", name)
			}
			if users, now := s.count(t, &User{}), s.stored(t, user.ID); users != 1 || now.Generation != 1 || now.PasswordHash != "x" || now.DisabledAt != nil {
				t.Errorf("%s: %d users, %+v", name, users, now)
			}
			var after OneTimeToken
			if err := s.db.WithContext(t.Context()).Take(&after).Error; err != nil || string(after.Digest) != string(token.Digest) {
				t.Errorf("%s: the reset token is another one, %v", name, err)
			}
		}
		if err := s.db.WithContext(t.Context()).Model(&User{}).Where("id = ?", user.ID).Update("disabled_at", noon).Error; err != nil {
			t.Fatal(err)
		}
		if _, err := s.EnableUser(t.Context(), user.ID); err == nil || s.stored(t, user.ID).DisabledAt == nil {
			t.Errorf("enable is done: %v", err)
		}
	})
}

// A login that has found its user when the user is deleted is refused, and is no fault of the server.
func TestLoginOfUserBeingDeleted(t *testing.T) {
	s := newService(t, databasetest.Postgres) // SQLite has one writer: there is no meanwhile
	user, _ := s.newUser(t, "ada@example.com")
	session, err := s.newSession(user, Client{})
	if err != nil {
		t.Fatal(err)
	}
	opened := true
	err = s.meanwhile(t, func(tx *gorm.DB) error { return tx.Where("id = ?", user.ID).Delete(&User{}).Error },
		func() (err error) { opened, err = s.createSession(t.Context(), session, user, "", alone); return err })
	if opened || err != nil {
		t.Errorf("opened: %v, %v", opened, err)
	}
}

// meanwhile calls late, which must come to wait for what early has changed, and returns what it ends with once
// early has committed.
func (s *Service) meanwhile(t *testing.T, early func(*gorm.DB) error, late func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	err := s.db.Transaction(t.Context(), func(tx *gorm.DB) error {
		if err := early(tx); err != nil {
			return err
		}
		go func() { ended <- late() }()
		for waiting := int64(0); waiting == 0; {
			if err := s.db.WithContext(t.Context()).Raw("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error; err != nil {
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
	s := newService(t, databasetest.Postgres)
	s.config.Hasher = password.NewHasher(password.Config{AtOnce: 1, Wait: time.Hour})
	s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Log: slog.New(slog.DiscardHandler), Now: s.config.Now})
	user, _ := s.newUser(t, "ada@example.com")
	link, err := s.newResetLink(s.db.WithContext(t.Context()), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, resetToken, _ := strings.Cut(link, "#token=")
	mark := func(tx *gorm.DB) error {
		return tx.Exec("UPDATE users SET disabled_at = ? WHERE id = ?", noon, user.ID).Error
	}
	disable := func(tx *gorm.DB) error {
		_, err := s.disable(tx, user.ID)
		return err
	}
	for what, early := range []func(*gorm.DB) error{mark, disable} {
		if err := s.db.WithContext(t.Context()).Exec("UPDATE users SET disabled_at = NULL").Error; err != nil {
			t.Fatal(err)
		}
		late := func() error { return s.ResetPassword(t.Context(), resetToken, "an even better horse", Client{}) }
		if err := s.meanwhile(t, early, late); !errors.Is(err, ErrInvalidResetToken) {
			t.Errorf("%d: %v", what, err)
		}
		if now := s.stored(t, user.ID); now.PasswordHash != "x" || now.DisabledAt == nil {
			t.Errorf("%d: %+v", what, now)
		}
	}
}

// Users are read in pages, each once, by id: who comes while the first page is looked at is on a later one.
func TestUsersAreReadInPages(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, total := range []int{0, 1, usersPage, 2500} {
			s := newService(t, engine)
			rows := make([]User, total)
			for i := range rows {
				rows[i] = User{ID: uuid.New(), Name: "Ada", Email: fmt.Sprintf("%d@example.com", i), CreatedAt: noon, UpdatedAt: noon}
				if i%3 == 0 {
					rows[i].DisabledAt = &noon
				}
			}
			if total > 0 {
				if err := s.db.WithContext(t.Context()).CreateInBatches(rows, 50).Error; err != nil {
					t.Fatal(err)
				}
			}
			for onlyDisabled, want := range map[bool]int{false: total, true: (total + 2) / 3} {
				last, read := uuid.Nil.String(), 0
				for user, err := range s.Users(t.Context(), UserFilter{Disabled: onlyDisabled}) {
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
			for user, err := range s.Users(t.Context(), UserFilter{}) {
				if err != nil {
					t.Fatal(err)
				}
				if read++; read == 1 {
					if err := s.db.WithContext(t.Context()).Create(&late).Error; err != nil {
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
			for _, err := range s.Users(t.Context(), UserFilter{}) { // the caller may stop early
				if err != nil {
					t.Error(err)
				}
				break
			}
		}
	})
}

func TestUsersAreSearched(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		for i, name := range []string{"Ada Lovelace", "Émile Zola", "100% Bob_"} {
			row := User{ID: uuid.New(), Name: name, Email: fmt.Sprintf("user%d@example.com", i), CreatedAt: noon, UpdatedAt: noon}
			if err := s.db.WithContext(t.Context()).Create(&row).Error; err != nil {
				t.Fatal(err)
			}
		}
		for search, want := range map[string][]string{
			"":      {"100% Bob_", "Ada Lovelace", "Émile Zola"},
			"LOVE":  {"Ada Lovelace"},
			"éMIL":  {"Émile Zola"},
			"User1": {"Émile Zola"},
			"%":     {"100% Bob_"},
			"_":     {"100% Bob_"},
			"'":     nil,
		} {
			var names []string
			for user, err := range s.Users(t.Context(), UserFilter{Search: search}) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, user.Name)
			}
			if slices.Sort(names); !slices.Equal(names, want) {
				t.Errorf("%q finds %q, want %q", search, names, want)
			}
		}
	})
}

func TestUsersReportAFailure(t *testing.T) {
	s := newService(t, databasetest.SQLite)
	if err := s.db.WithContext(t.Context()).Migrator().DropTable(&OneTimeToken{}, &Session{}, &User{}); err != nil {
		t.Fatal(err)
	}
	var failure error
	for _, err := range s.Users(t.Context(), UserFilter{}) {
		failure = err
	}
	if failure == nil {
		t.Error("nothing")
	}
}

func TestFindUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.newUser(t, "ada@example.com")
		for named, want := range map[string]error{
			"ada@example.com": nil, "Ada@Example.COM": nil, user.ID.String(): nil, strings.ToUpper(user.ID.String()): nil,
			"grace@example.com": ErrUnknownUser, "ada@": ErrUnknownUser, "ada": ErrUnknownUser, "": ErrUnknownUser, "%": ErrUnknownUser, uuid.NewString(): ErrUnknownUser,
			uuid.Nil.String(): ErrUnknownUser, "@": ErrUnknownUser,
		} {
			found, err := s.FindUser(t.Context(), named)
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
		{"A", nil, nil}, {strings.Repeat("é", MaxNameLength), bio(strings.Repeat("é", MaxBioLength)), nil}, {"Ada", bio(""), nil},
		{"", nil, ErrInvalidName}, {strings.Repeat("é", MaxNameLength+1), nil, ErrInvalidName}, {"A\x00", nil, ErrInvalidName}, {"A\xff", nil, ErrInvalidName},
		{"Ada", bio(strings.Repeat("é", MaxBioLength+1)), ErrInvalidBio}, {"Ada", bio("\x00"), ErrInvalidBio}, {"Ada", bio("\xff"), ErrInvalidBio},
	} {
		if err := checkProfile(test.name, test.bio); !errors.Is(err, test.want) {
			t.Errorf("%q: %v", test.name, err)
		}
		s := &Service{}
		if test.want != nil {
			if _, err := s.CreateUser(t.Context(), NewUser{Name: test.name, Bio: test.bio, Email: "ada@example.com"}); !errors.Is(err, test.want) {
				t.Errorf("create %q: %v", test.name, err)
			}
		}
	}
}
