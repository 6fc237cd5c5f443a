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
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// nobody observes nothing.
type nobody struct{}

func (nobody) Outcome(string, string) {}
func (nobody) Factor(string, string)  {}
func (nobody) Stored(int64, int64)    {}
func (nobody) Throttled(string)       {}

func newService(t *testing.T, engine databasetest.Engine) *Service {
	t.Helper()
	db, now := databasetest.New(t, engine), func() time.Time { return noon }
	return &Service{
		Reader: NewReader(db, now), dummyHash: "no user's",
		throttle: throttle.New(throttle.Config{DB: db, Key: []byte("a key"), Now: now}),
		config: Config{
			SessionLifetime: time.Hour, IdleLifetime: time.Hour, ResetTokenLifetime: time.Minute,
			LinkURL: "https://auth.example.test", Now: now, Observer: nobody{},
			Log: slog.New(slog.DiscardHandler),
		},
	}
}

// storeUser stores a user with a session and an unused reset token.
func (s *Service) storeUser(t *testing.T, email string) (*User, *Session) {
	t.Helper()
	user, err := s.newUser(User{Name: "Ada", Email: email, PasswordHash: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := insertUser(s.db.WithContext(t.Context()), user); err != nil {
		t.Fatal(err)
	}
	session, err := s.newSession(user, token.ByPassword, Client{})
	if err != nil {
		t.Fatal(err)
	}
	if created, err := s.createSession(t, session, user, ""); !created || err != nil {
		t.Fatal(created, err)
	}
	if _, err := s.ResetLink(t.Context(), user.ID); err != nil {
		t.Fatal(err)
	}
	return user, session
}

// createSession stores a session, and reports whether it did.
func (s *Service) createSession(t *testing.T, session *Session, user *User, rehash string) (bool, error) {
	t.Helper()
	err := s.db.Batch(t.Context(), func(tx *gorm.DB) error { return insertSession(tx, session, user, rehash) })
	if userChanged(err) {
		return false, nil
	}
	return err == nil, err
}

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

// events returns the number of recorded events of a kind, and the email and detail of the last one.
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

// concurrently makes several calls at once and returns the number of those that returned true.
func concurrently(t *testing.T, call func() (bool, error)) int64 {
	t.Helper()
	var calls sync.WaitGroup
	var trues atomic.Int64
	for range 8 {
		calls.Go(func() {
			result, err := call()
			if err != nil {
				t.Error(err)
			}
			if result {
				trues.Add(1)
			}
		})
	}
	calls.Wait()
	return trues.Load()
}

// Of several concurrent calls, only one changes the user: the generation is raised by one.
func TestDisableAndEnable(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		_, otherSession := s.storeUser(t, "grace@example.com")
		disable := func() (bool, error) { return s.DisableUser(t.Context(), user.ID) }
		enable := func() (bool, error) { return s.EnableUser(t.Context(), user.ID) }
		for round := range int64(2) {
			if changes := concurrently(t, disable); changes != 1 {
				t.Errorf("disabled %d times", changes)
			}
			disabled := s.stored(t, user.ID)
			if disabled.DisabledAt == nil || !disabled.DisabledAt.Equal(noon) || disabled.Generation != 2+round {
				t.Errorf("disabled: %+v", disabled)
			}
			login, err := s.newSession(disabled, token.ByPassword, Client{})
			if err != nil {
				t.Fatal(err)
			}
			if created, err := s.createSession(t, login, disabled, ""); created || err != nil {
				t.Errorf("a login while disabled: %v, %v", created, err)
			}
			if _, err := s.ResetLink(t.Context(), user.ID); !errors.Is(err, ErrUserDisabled) {
				t.Errorf("a reset link while disabled: %v", err)
			}
			if changes := concurrently(t, enable); changes != 1 {
				t.Errorf("enabled %d times", changes)
			}
			if enabled := s.stored(t, user.ID); enabled.DisabledAt != nil || enabled.Generation != 2+round {
				t.Errorf("enabled: %+v", enabled)
			}
			if live, err := s.LiveSessions(t.Context(), user.ID); err != nil || len(live) != 0 {
				t.Errorf("enabled: %d sessions are live again, %v", len(live), err)
			}
		}
		for _, kind := range []audit.Kind{audit.DisableUser, audit.EnableUser} {
			if count, email, _ := s.events(t, kind); count != 2 || email != "ada@example.com" {
				t.Errorf("%s: %d events, the last one of %q", kind, count, email)
			}
		}
		if tokens := s.count(t, &OneTimeToken{}); tokens != 1 {
			t.Errorf("%d reset tokens, want only the other user's", tokens)
		}
		live, err := s.LiveSessions(t.Context(), otherSession.UserID)
		if err != nil || len(live) != 1 || live[0].ID != otherSession.ID {
			t.Errorf("the other user's sessions: %+v, %v", live, err)
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
				t.Errorf("%s an unknown user: %v", name, err)
			}
		}
	})
}

// Sessions that were already invalid are neither listed nor counted as revoked.
func TestRevokeSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		other, _ := s.storeUser(t, "grace@example.com")
		disabled, _ := s.storeUser(t, "linus@example.com")
		for _, invalid := range []Session{
			{Generation: 0, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon, IdleExpiresAt: noon.Add(time.Hour)},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon},
			{Generation: 1, ExpiresAt: noon.Add(time.Hour), IdleExpiresAt: noon.Add(time.Hour), RevokedAt: &noon},
		} {
			invalid.ID, invalid.UserID, invalid.CreatedAt, invalid.RotatedAt = uuid.New(), user.ID, noon, noon
			if err := s.db.WithContext(t.Context()).Create(&invalid).Error; err != nil {
				t.Fatal(err)
			}
		}
		s.markDisabled(t, disabled)
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
		count, email, detail := s.events(t, audit.RevokeSessions)
		if count != 3 || email != "" || detail != "of every user" {
			t.Errorf("%d events, the last one of %q, %q", count, email, detail)
		}
		for id, generation := range map[uuid.UUID]int64{user.ID: 4, other.ID: 2, disabled.ID: 2} {
			if stored := s.stored(t, id); stored.Generation != generation {
				t.Errorf("%s: generation %d, want %d", stored.Email, stored.Generation, generation)
			}
		}
	})
}

// markDisabled marks a user as disabled, and does nothing else that DisableUser does.
func (s *Service) markDisabled(t *testing.T, user *User) {
	t.Helper()
	mark := s.db.WithContext(t.Context()).Model(&User{}).Where("id = ?", user.ID).Update("disabled_at", noon)
	if mark.Error != nil {
		t.Fatal(mark.Error)
	}
}

// DeleteUser deletes everything that refers to the user, and nothing of other users.
func TestDeleteUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		other, _ := s.storeUser(t, "grace@example.com")
		if err := s.DeleteUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(t.Context(), user.ID); !errors.Is(err, ErrUnknownUser) {
			t.Errorf("deleted twice: %v", err)
		}
		for _, model := range []any{&User{}, &Session{}, &OneTimeToken{}} {
			if rows := s.count(t, model); rows != 1 {
				t.Errorf("%T: %d rows left, want 1", model, rows)
			}
		}
		s.stored(t, other.ID)
		if count, email, _ := s.events(t, audit.DeleteUser); count != 1 || email != "" {
			t.Errorf("%d events, the last one of %q", count, email)
		}
	})
}

// If an operator's change cannot be recorded, it is rolled back.
func TestUnrecordedChangesAreRolledBack(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		s.config.Hasher = password.NewHasher(password.Config{AtOnce: 1, Wait: time.Hour})
		s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Log: slog.New(slog.DiscardHandler), Now: s.config.Now})
		user, _ := s.storeUser(t, "ada@example.com")
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
				t.Errorf("%s succeeds", name)
			}
			users, stored := s.count(t, &User{}), s.stored(t, user.ID)
			if users != 1 || stored.Generation != 1 || stored.PasswordHash != "x" || stored.DisabledAt != nil {
				t.Errorf("%s: %d users, %+v", name, users, stored)
			}
			var after OneTimeToken
			err := s.db.WithContext(t.Context()).Take(&after).Error
			if err != nil || string(after.Digest) != string(token.Digest) {
				t.Errorf("%s: the reset token was replaced, %v", name, err)
			}
		}
		s.markDisabled(t, user)
		if _, err := s.EnableUser(t.Context(), user.ID); err == nil || s.stored(t, user.ID).DisabledAt == nil {
			t.Errorf("enable succeeds: %v", err)
		}
	})
}

// A login that has read the user before the user is deleted is refused without an internal error.
func TestLoginOfUserBeingDeleted(t *testing.T) {
	s := newService(t, databasetest.Postgres) // SQLite has one writer, so the two cannot overlap
	user, _ := s.storeUser(t, "ada@example.com")
	session, err := s.newSession(user, token.ByPassword, Client{})
	if err != nil {
		t.Fatal(err)
	}
	created := true
	err = databasetest.Meanwhile(t, s.db,
		func(tx *gorm.DB) error { return tx.Where("id = ?", user.ID).Delete(&User{}).Error },
		func() (err error) {
			created, err = s.createSession(t, session, user, "")
			return err
		})
	if created || err != nil {
		t.Errorf("created: %v, %v", created, err)
	}
}

// A reset that has read the user before the user is disabled changes nothing.
func TestResetOfUserBeingDisabled(t *testing.T) {
	s := newService(t, databasetest.Postgres)
	s.config.Hasher = password.NewHasher(password.Config{AtOnce: 1, Wait: time.Hour})
	s.config.Outbox = mail.NewOutbox(mail.OutboxConfig{DB: s.db, Log: slog.New(slog.DiscardHandler), Now: s.config.Now})
	user, _ := s.storeUser(t, "ada@example.com")
	link, err := s.ResetLink(t.Context(), user.ID)
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
	for i, early := range []func(*gorm.DB) error{mark, disable} { // in this order: disable deletes the token
		if err := s.db.WithContext(t.Context()).Exec("UPDATE users SET disabled_at = NULL").Error; err != nil {
			t.Fatal(err)
		}
		late := func() error { return s.ResetPassword(t.Context(), resetToken, "an even better horse", Client{}) }
		if err := databasetest.Meanwhile(t, s.db, early, late); !errors.Is(err, ErrInvalidLink) {
			t.Errorf("%d: %v", i, err)
		}
		if stored := s.stored(t, user.ID); stored.PasswordHash != "x" || stored.DisabledAt == nil {
			t.Errorf("%d: %+v", i, stored)
		}
	}
}

// newUsers stores users of which every third one is disabled.
func (s *Service) newUsers(t *testing.T, total int) {
	t.Helper()
	if total == 0 {
		return
	}
	rows := make([]User, total)
	for i := range rows {
		email := fmt.Sprintf("%d@example.com", i)
		rows[i] = User{ID: uuid.New(), Name: "Ada", Email: email, CreatedAt: noon, UpdatedAt: noon}
		if i%3 == 0 {
			rows[i].DisabledAt = &noon
		}
	}
	if err := s.db.WithContext(t.Context()).CreateInBatches(rows, 50).Error; err != nil {
		t.Fatal(err)
	}
}

// Users returns each user once, ordered by id, whatever the number of pages.
func TestUsersAreReadInPages(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, total := range []int{0, 1, usersPage, 2500} {
			s := newService(t, engine)
			s.newUsers(t, total)
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
					t.Errorf("got %d users, want %d; only disabled ones: %v", read, want, onlyDisabled)
				}
			}
		}
	})
}

// A user who is created while the first page is read appears on a later page.
func TestUsersCreatedMeanwhileAreRead(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		const total = 2500
		s.newUsers(t, total)
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
				t.Fatalf("user %d is %s", read, user.ID)
			}
		}
		if read != total+1 {
			t.Errorf("got %d users, want %d", read, total+1)
		}
		for _, err := range s.Users(t.Context(), UserFilter{}) { // the caller may stop early
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

func TestUsersAreSearched(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		for i, name := range []string{"Ada Lovelace", "Émile Zola", "100% Bob_"} {
			email := fmt.Sprintf("user%d@example.com", i)
			row := User{ID: uuid.New(), Name: name, Email: email, CreatedAt: noon, UpdatedAt: noon}
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
				t.Errorf("search %q: got %q, want %q", search, names, want)
			}
		}
	})
}

func TestUsersReturnsDatabaseErrors(t *testing.T) {
	s := newService(t, databasetest.SQLite)
	if err := s.db.WithContext(t.Context()).Migrator().DropTable(&OneTimeToken{}, &Session{}, &User{}); err != nil {
		t.Fatal(err)
	}
	var last error
	for _, err := range s.Users(t.Context(), UserFilter{}) {
		last = err
	}
	if last == nil {
		t.Error("Users returned no error")
	}
}

func TestFindUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		for _, known := range []string{
			"ada@example.com", "Ada@Example.COM", user.ID.String(), strings.ToUpper(user.ID.String()),
		} {
			if found, err := s.FindUser(t.Context(), known); err != nil || found.ID != user.ID {
				t.Errorf("%q: %+v, %v", known, found, err)
			}
		}
		for _, unknown := range []string{
			"grace@example.com", "ada@", "@", "ada", "", "%", uuid.NewString(), uuid.Nil.String(),
		} {
			if found, err := s.FindUser(t.Context(), unknown); !errors.Is(err, ErrUnknownUser) {
				t.Errorf("%q: %+v, %v", unknown, found, err)
			}
		}
	})
}

// Profiles that do not come through the API have the same limits.
func TestProfileIsChecked(t *testing.T) {
	text := func(text string) *string { return &text }
	longest := strings.Repeat("é", MaxNameLength)
	longestBio := strings.Repeat("é", MaxBioLength)
	for _, test := range []struct {
		name string
		bio  *string
		want error
	}{
		{"A", nil, nil},
		{"Ada", text(""), nil},
		{longest, text(longestBio), nil},
		{"", nil, ErrInvalidName},
		{"A\x00", nil, ErrInvalidName},
		{"A\xff", nil, ErrInvalidName},
		{longest + "é", nil, ErrInvalidName},
		{"Ada", text("\x00"), ErrInvalidBio},
		{"Ada", text("\xff"), ErrInvalidBio},
		{"Ada", text(longestBio + "é"), ErrInvalidBio},
	} {
		if err := checkProfile(test.name, test.bio); !errors.Is(err, test.want) {
			t.Errorf("%q: %v", test.name, err)
		}
		if test.want != nil {
			s, account := &Service{}, NewUser{Name: test.name, Bio: test.bio, Email: "ada@example.com"}
			if _, err := s.CreateUser(t.Context(), account); !errors.Is(err, test.want) {
				t.Errorf("create %q: %v", test.name, err)
			}
		}
	}
}

// A refresh that waits while its session is moved to the next generation succeeds.
func TestRefreshOfSessionBeingMoved(t *testing.T) {
	s := newService(t, databasetest.Postgres) // SQLite has one writer, so the two cannot overlap
	user, session := s.storeUser(t, "ada@example.com")
	var outcome verdict
	err := databasetest.Meanwhile(t, s.db,
		func(tx *gorm.DB) error {
			if err := tx.Exec("UPDATE users SET generation = generation + 1 WHERE id = ?", user.ID).Error; err != nil {
				return err
			}
			_, err := moveSession(tx, session.ID, map[string]any{})
			return err
		},
		func() (err error) {
			presented := token.Refresh{Session: session.ID, Counter: session.Counter}
			_, outcome, err = s.refresh(t.Context(), presented, Client{})
			return err
		})
	if outcome != rotated || err != nil {
		t.Errorf("the token is %s, %v", outcome, err)
	}
}

// An event of a user who was deleted meanwhile says nothing about the person.
func TestEventOfADeletedUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		user, _ := s.storeUser(t, "ada@example.com")
		event := s.failure(audit.Login, user, Client{RequestID: "x", IP: "192.0.2.1", UserAgent: "a browser"})
		event.Detail = "wrong password"
		if err := s.DeleteUser(t.Context(), user.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
		var recorded audit.Event
		if err := s.db.WithContext(t.Context()).Where("kind = ?", audit.Login).Take(&recorded).Error; err != nil {
			t.Fatal(err)
		}
		if recorded.UserID != user.ID || recorded.Email+recorded.IP+recorded.UserAgent+recorded.Detail != "" {
			t.Errorf("%+v", recorded)
		}
	})
}

// Only a session that has not ended moves to the next generation, which ends all others.
func TestMoveSession(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		for name, test := range map[string]struct {
			before string // a statement before the generation is raised
			want   error
		}{
			"valid":                  {"SELECT 1", nil},
			"revoked":                {"UPDATE sessions SET revoked_at = created_at", ErrInvalidAccessToken},
			"of an older generation": {"UPDATE users SET generation = generation + 1", ErrInvalidAccessToken},
			"deleted":                {"DELETE FROM sessions", ErrInvalidAccessToken},
		} {
			user, session := s.storeUser(t, strings.ReplaceAll(name, " ", "-")+"@example.com")
			db := s.db.WithContext(t.Context())
			if err := db.Exec(test.before).Error; err != nil {
				t.Fatal(err)
			}
			if err := db.Exec("UPDATE users SET generation = generation + 1 WHERE id = ?", user.ID).Error; err != nil {
				t.Fatal(err)
			}
			if _, err := moveSession(db, session.ID, map[string]any{}); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
	})
}
