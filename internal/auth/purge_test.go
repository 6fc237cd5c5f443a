package auth

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// A purge deletes what is over, more than one batch of it, and nothing else.
func TestPurge(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		user := User{ID: uuid.New(), Name: "Ada", Email: "ada@example.com", PasswordHash: "x", Generation: 1, CreatedAt: now, UpdatedAt: now}
		if err := db.WithContext(t.Context()).Create(&user).Error; err != nil {
			t.Fatal(err)
		}
		session := func(ends, idles time.Duration, revoked *time.Time) Session {
			return Session{ID: uuid.New(), UserID: user.ID, Generation: 1, Counter: 1, CreatedAt: now, RotatedAt: now,
				ExpiresAt: now.Add(ends), IdleExpiresAt: now.Add(idles), RevokedAt: revoked}
		}
		live, revoked := session(time.Hour, time.Second, nil), session(time.Hour, time.Hour, &now)
		over := []Session{session(0, time.Hour, nil), session(time.Hour, 0, nil)}
		for range purgeBatch + 1 {
			over = append(over, session(-time.Hour, -time.Hour, nil))
		}
		if err := db.WithContext(t.Context()).CreateInBatches(append(over, live, revoked), 100).Error; err != nil {
			t.Fatal(err)
		}
		for _, token := range []OneTimeToken{
			{UserID: user.ID, Purpose: "over", Digest: []byte("over"), ExpiresAt: now, CreatedAt: now},
			{UserID: user.ID, Purpose: "live", Digest: []byte("live"), ExpiresAt: now.Add(time.Second), CreatedAt: now},
		} {
			if err := db.WithContext(t.Context()).Create(&token).Error; err != nil {
				t.Fatal(err)
			}
		}
		for name, seen := range map[string]time.Time{"over": now.Add(-knownFor), "live": now.Add(time.Microsecond - knownFor)} {
			if err := db.WithContext(t.Context()).Create(&KnownNetwork{Pseudonym: []byte(name), UserID: user.ID, LastSeen: seen}).Error; err != nil {
				t.Fatal(err)
			}
		}
		clock := func() time.Time { return now }
		service := &Service{
			db: db, config: Config{AuditRetention: time.Hour, Now: clock},
			throttle: throttle.New(throttle.Config{DB: db, Secret: secret.Secret("the secret of a test, 32 bytes.."), Now: clock}),
		}
		if err := db.WithContext(t.Context()).Exec("INSERT INTO throttle (tat, key) VALUES (?, ?), (?, ?)", now.UnixMicro(), []byte("over"), now.UnixMicro()+1, []byte("live")).Error; err != nil {
			t.Fatal(err)
		}
		if err := audit.Record(db.WithContext(t.Context()), audit.Event{At: now.Add(-time.Hour - time.Microsecond), Detail: "over"}, audit.Event{At: now.Add(-time.Hour), Detail: "live"}); err != nil {
			t.Fatal(err)
		}
		if err := service.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sessions []Session
		var tokens []OneTimeToken
		if err := db.WithContext(t.Context()).Find(&sessions).Error; err != nil {
			t.Fatal(err)
		}
		if err := db.WithContext(t.Context()).Find(&tokens).Error; err != nil {
			t.Fatal(err)
		}
		var networks, budgets, events []string
		if err := db.WithContext(t.Context()).Model(&audit.Event{}).Pluck("detail", &events).Error; err != nil || !slices.Equal(events, []string{"live"}) {
			t.Errorf("events left: %v, %v", events, err)
		}
		if err := db.WithContext(t.Context()).Model(&KnownNetwork{}).Pluck("pseudonym", &networks).Error; err != nil || !slices.Equal(networks, []string{"live"}) {
			t.Errorf("networks left: %v, %v", networks, err)
		}
		if err := db.WithContext(t.Context()).Table("throttle").Pluck("key", &budgets).Error; err != nil || !slices.Equal(budgets, []string{"live"}) {
			t.Errorf("budgets left: %v, %v", budgets, err)
		}
		left := make(map[uuid.UUID]bool)
		for _, one := range sessions {
			left[one.ID] = true
		}
		if len(sessions) != 2 || !left[live.ID] || !left[revoked.ID] {
			t.Errorf("%d sessions left, the live one: %v, the revoked one: %v", len(sessions), left[live.ID], left[revoked.ID])
		}
		if len(tokens) != 1 || tokens[0].Purpose != "live" {
			t.Errorf("tokens left: %+v", tokens)
		}
	})
}
