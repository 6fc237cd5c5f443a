package auth

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// While a login hashes, the account may change. A session is opened for the user whose password was checked,
// or not at all.
func TestSessionIsOpenedForTheUserThatWasChecked(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		changes := map[string]map[string]any{
			"nothing":        {"name": "Grace"},
			"the generation": {"generation": gorm.Expr("generation + 1")},
			"the password":   {"password_hash": "another"},
			"both":           {"password_hash": "another", "generation": gorm.Expr("generation + 1")},
			"disabled":       {"disabled_at": time.Now().UTC()},
		}
		for test := range 2 * len(changes) {
			name, rehash := slices.Sorted(maps.Keys(changes))[test/2], []string{"", "rehashed"}[test%2]
			change := changes[name]
			now := time.Now().UTC().Truncate(time.Microsecond)
			user := User{ID: uuid.New(), Name: "Ada", Email: uuid.NewString(), PasswordHash: "checked", Generation: 3, CreatedAt: now, UpdatedAt: now}
			if err := db.WithContext(t.Context()).Create(&user).Error; err != nil {
				t.Fatal(err)
			}
			s := &Service{db: db, config: Config{SessionLifetime: time.Hour, IdleLifetime: time.Hour, Now: func() time.Time { return now }}}
			session, err := s.newSession(&user, Client{})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.WithContext(t.Context()).Model(&User{}).Where("id = ?", user.ID).UpdateColumns(change).Error; err != nil {
				t.Fatal(err)
			}
			if opened, err := s.createSession(t.Context(), session, &user, rehash, func(*gorm.DB) error { return nil }); err != nil || opened != (name == "nothing") {
				t.Errorf("%s changed, rehash %q: opened %v, %v", name, rehash, opened, err)
			}
			var stored []Session
			if err := db.WithContext(t.Context()).Where("user_id = ?", user.ID).Find(&stored).Error; err != nil || len(stored) != map[bool]int{true: 1}[name == "nothing"] {
				t.Errorf("%s changed, rehash %q: %d sessions, %v", name, rehash, len(stored), err)
			}
			after := user
			if err := db.WithContext(t.Context()).Where("id = ?", user.ID).Take(&after).Error; err != nil {
				t.Fatal(err)
			}
			hash, changed := change["password_hash"]
			switch {
			case changed: // the newer one stays
			case name == "nothing" && rehash != "":
				hash = rehash
			default:
				hash = "checked"
			}
			if after.PasswordHash != hash || !after.UpdatedAt.Equal(now) || change["generation"] == nil && after.Generation != 3 {
				t.Errorf("%s changed, rehash %q: hash %q, generation %d, updated at %v", name, rehash, after.PasswordHash, after.Generation, after.UpdatedAt)
			}
		}
	})
}
