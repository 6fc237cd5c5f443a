package auth

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/clocktest"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// Purge deletes everything that has expired, even if it takes several batches, and nothing else.
func TestPurge(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		tx := db.WithContext(t.Context())
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		user := User{
			ID: uuid.New(), Name: "Ada", Email: "ada@example.com", PasswordHash: "x", Generation: 1,
			CreatedAt: now, UpdatedAt: now,
		}
		if err := tx.Create(&user).Error; err != nil {
			t.Fatal(err)
		}
		session := func(ends, idles time.Duration, revoked *time.Time) Session {
			return Session{ID: uuid.New(), UserID: user.ID, Generation: 1, Counter: 1, CreatedAt: now, RotatedAt: now,
				ExpiresAt: now.Add(ends), IdleExpiresAt: now.Add(idles), RevokedAt: revoked}
		}
		live, revoked := session(time.Hour, time.Second, nil), session(time.Hour, time.Hour, &now)
		expired := []Session{session(0, time.Hour, nil), session(time.Hour, 0, nil)}
		for range purgeBatch + 1 {
			expired = append(expired, session(-time.Hour, -time.Hour, nil))
		}
		if err := tx.CreateInBatches(append(expired, live, revoked), 100).Error; err != nil {
			t.Fatal(err)
		}
		for _, token := range []OneTimeToken{
			{UserID: user.ID, Purpose: "expired", Digest: []byte("expired"), ExpiresAt: now, CreatedAt: now},
			{UserID: user.ID, Purpose: "live", Digest: []byte("live"), ExpiresAt: now.Add(time.Second), CreatedAt: now},
		} {
			if err := tx.Create(&token).Error; err != nil {
				t.Fatal(err)
			}
		}
		for _, network := range []KnownNetwork{
			{UserID: user.ID, Pseudonym: []byte("expired"), LastSeen: now.Add(-knownFor)},
			{UserID: user.ID, Pseudonym: []byte("live"), LastSeen: now.Add(time.Microsecond - knownFor)},
		} {
			if err := tx.Create(&network).Error; err != nil {
				t.Fatal(err)
			}
		}
		for _, email := range []PreviousEmail{
			{UserID: user.ID, Email: "expired", Digest: []byte("expired"), ExpiresAt: now},
			{UserID: user.ID, Email: "live", Digest: []byte("live"), ExpiresAt: now.Add(time.Microsecond)},
		} {
			if err := tx.Create(&email).Error; err != nil {
				t.Fatal(err)
			}
		}
		limits := "INSERT INTO throttle (tat, key) VALUES (?, ?), (?, ?)"
		err := tx.Exec(limits, now.UnixMicro(), []byte("expired"), now.UnixMicro()+1, []byte("live")).Error
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range []mail.Entry{
			{ID: uuid.NewString(), Email: "expired", DeadAt: new(now.Add(-mail.DeadFor))},
			{ID: uuid.NewString(), Email: "live", DeadAt: new(now.Add(time.Microsecond - mail.DeadFor))},
		} {
			if err := tx.Create(&entry).Error; err != nil {
				t.Fatal(err)
			}
		}
		err = audit.Record(tx,
			audit.Event{At: now.Add(-time.Hour - time.Microsecond), Detail: "expired"},
			audit.Event{At: now.Add(-time.Hour), Detail: "live"})
		if err != nil {
			t.Fatal(err)
		}

		clock := func() time.Time { return now }
		service := &Service{
			Reader: NewReader(db, clock), config: Config{
				AuditRetention: time.Hour, Now: clock, Observer: nobody{},
				Outbox: mail.NewOutbox(mail.OutboxConfig{DB: db, Now: clock}),
			},
			throttle: throttle.New(throttle.Config{DB: db, Key: []byte("a key"), Now: clock}),
		}
		if err := service.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}

		for name, column := range map[string]*gorm.DB{
			"tokens":   tx.Model(&OneTimeToken{}).Select("purpose"),
			"networks": tx.Model(&KnownNetwork{}).Select("pseudonym"),
			"previous": tx.Model(&PreviousEmail{}).Select("email"),
			"limits":   tx.Table("throttle").Select("key"),
			"emails":   tx.Model(&mail.Entry{}).Select("email"),
			"events":   tx.Model(&audit.Event{}).Select("detail"),
		} {
			var left []string
			if err := column.Find(&left).Error; err != nil || !slices.Equal(left, []string{"live"}) {
				t.Errorf("%s left: %q, %v", name, left, err)
			}
		}
		var sessions []Session
		if err := tx.Find(&sessions).Error; err != nil {
			t.Fatal(err)
		}
		left := make(map[uuid.UUID]bool)
		for _, session := range sessions {
			left[session.ID] = true
		}
		if len(sessions) != 2 || !left[live.ID] || !left[revoked.ID] {
			t.Errorf("sessions left: %+v", sessions)
		}
	})
}

// counted is called after every purge.
type counted struct {
	nobody

	stored func()
}

func (c counted) Stored(int64, int64) { c.stored() }

// The metrics count every user and, like liveSessions, the valid sessions only, also before the
// expired ones are deleted.
func TestCountStored(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := newService(t, engine)
		change := func(model any, id uuid.UUID, column string, value any) {
			t.Helper()
			update := s.db.WithContext(t.Context()).Model(model).Where("id = ?", id).UpdateColumn(column, value)
			if update.Error != nil || update.RowsAffected != 1 {
				t.Fatalf("%s: %d rows, %v", column, update.RowsAffected, update.Error)
			}
		}
		for _, invalidate := range []func(user, session uuid.UUID){
			func(_, _ uuid.UUID) {}, // one is valid
			func(user, _ uuid.UUID) { change(&User{}, user, "disabled_at", noon) },
			func(user, _ uuid.UUID) { change(&User{}, user, "generation", 2) },
			func(_, session uuid.UUID) { change(&Session{}, session, "revoked_at", noon) },
			func(_, session uuid.UUID) { change(&Session{}, session, "expires_at", noon) },
			func(_, session uuid.UUID) { change(&Session{}, session, "idle_expires_at", noon) },
		} {
			user, session := s.storeUser(t, uuid.NewString()+"@example.com")
			invalidate(user.ID, session.ID)
		}
		var observed stored
		s.config.Observer = &observed
		var live int64
		err := errors.Join(s.countStored(t.Context()), liveSessions(s.db.WithContext(t.Context()), noon).Count(&live).Error)
		if err != nil || observed.users != 6 || observed.sessions != 1 || live != 1 {
			t.Errorf("%d users, %d sessions of %d, %v", observed.users, observed.sessions, live, err)
		}
	})
}

// stored is what was counted last.
type stored struct {
	nobody

	users, sessions int64
}

func (s *stored) Stored(users, sessions int64) { s.users, s.sessions = users, sessions }

// A clock that jumps ahead deletes nothing at first, although there are newer events from then on,
// but is reported, and so is one that was ahead before.
func TestPurgeChecksTheClock(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		tx := db.WithContext(t.Context())
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		token := OneTimeToken{UserID: uuid.New(), Purpose: "x", Digest: []byte("x"), CreatedAt: now}
		token.ExpiresAt = now.Add(time.Second)
		user := User{ID: token.UserID, Email: "ada@example.com", CreatedAt: now, UpdatedAt: now}
		err := errors.Join(tx.Create(&user).Error, tx.Create(&token).Error, audit.Record(tx, audit.Event{At: now}))
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			offset  time.Duration
			running bool // the clock jumps after the first purge
			ticks   int  // each is received when a purge has ended; another one may begin after the last
			warning string
			left    int64
		}{
			{-time.Minute - time.Second, false, 1, "in the future", 1},
			{-time.Minute, false, 1, "", 1},
			{24*time.Hour + time.Second, false, maxSkipped - 1, "is more than a day ahead", 1},
			{40 * 24 * time.Hour, false, maxSkipped - 1, "is more than a day ahead", 1},
			{40 * 24 * time.Hour, true, maxSkipped - 1, "is more than a day ahead", 1},
			{40 * 24 * time.Hour, false, maxSkipped + 1, "is more than a day ahead", 0},
		} {
			clock := clocktest.At(now)
			jump := sync.OnceFunc(func() { clock.Advance(test.offset) })
			if !test.running {
				jump()
			}
			if test.offset > 0 { // users go on
				if err := audit.Record(tx, audit.Event{At: now.Add(test.offset)}); err != nil {
					t.Fatal(err)
				}
			}
			service := &Service{
				Reader: NewReader(db, clock.Now), config: Config{
					AuditRetention: time.Hour, Now: clock.Now, Observer: counted{stored: jump},
					Outbox: mail.NewOutbox(mail.OutboxConfig{DB: db, Now: clock.Now}),
				},
				throttle: throttle.New(throttle.Config{DB: db, Key: []byte("a key"), Now: clock.Now}),
			}
			var log strings.Builder
			ticks := make(chan time.Time)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				service.runPurge(ctx, now, ticks, slog.New(slog.NewTextHandler(&log, nil)))
			}()
			for range test.ticks {
				ticks <- now
			}
			cancel()
			<-ended
			warned := strings.Contains(log.String(), "check the clock")
			if warned != (test.warning != "") || !strings.Contains(log.String(), test.warning) {
				t.Errorf("%s: the log is\n%s", test.offset, &log)
			}
			var left int64
			if err := tx.Model(&OneTimeToken{}).Count(&left).Error; err != nil || left != test.left {
				t.Errorf("%s, %d ticks: %d tokens left, %v", test.offset, test.ticks, left, err)
			}
		}
	})
}
