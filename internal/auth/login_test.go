package auth

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/token"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// If the user changes while a login hashes the password, no session is created.
func TestNoSessionIfTheUserChangedMeanwhile(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		changes := map[string]map[string]any{
			"nothing":        {"name": "Grace"},
			"the generation": {"generation": gorm.Expr("generation + 1")},
			"the password":   {"password_hash": "another"},
			"both":           {"password_hash": "another", "generation": gorm.Expr("generation + 1")},
			"disabled":       {"disabled_at": time.Now().UTC()},
			"the email":      {"email": gorm.Expr("email || '.new'")},
		}
		for test := range 2 * len(changes) {
			name, rehash := slices.Sorted(maps.Keys(changes))[test/2], []string{"", "rehashed"}[test%2]
			change := changes[name]
			now := time.Now().UTC().Truncate(time.Microsecond)
			user := User{
				ID: uuid.New(), Name: "Ada", Email: uuid.NewString(), PasswordHash: "checked", Generation: 3,
				CreatedAt: now, UpdatedAt: now,
			}
			tx := db.WithContext(t.Context())
			if err := tx.Create(&user).Error; err != nil {
				t.Fatal(err)
			}
			config := Config{SessionLifetime: time.Hour, IdleLifetime: time.Hour, Now: func() time.Time { return now }}
			s := &Service{Reader: NewReader(db, config.Now), config: config}
			session, err := s.newSession(&user, token.ByPassword, Client{})
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Model(&User{}).Where("id = ?", user.ID).UpdateColumns(change).Error; err != nil {
				t.Fatal(err)
			}
			created, err := s.createSession(t, session, &user, rehash)
			if err != nil || created != (name == "nothing") {
				t.Errorf("%s changed, rehash %q: created %v, %v", name, rehash, created, err)
			}
			var sessions int64
			err = tx.Model(&Session{}).Where("user_id = ?", user.ID).Count(&sessions).Error
			if err != nil || sessions != map[bool]int64{true: 1}[name == "nothing"] {
				t.Errorf("%s changed, rehash %q: %d sessions, %v", name, rehash, sessions, err)
			}
			after := user
			if err := tx.Where("id = ?", user.ID).Take(&after).Error; err != nil {
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
			if after.PasswordHash != hash || !after.UpdatedAt.Equal(now) ||
				change["generation"] == nil && after.Generation != 3 {
				t.Errorf("%s changed, rehash %q: %+v", name, rehash, after)
			}
		}
	})
}

// Every login hashes the password, also for an email without an account, at the cost of a current
// hash. Otherwise the time of a failed login would reveal who has an account. No password can be
// hashed here, so a login that hashes returns ErrBusy, and one that does not, a refusal.
func TestEveryLoginHashes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		db := databasetest.New(t, engine)
		hasher := password.NewHasher(password.Config{})
		s := New(Config{DB: db, Hasher: hasher, Now: time.Now})
		now := s.now()
		for _, user := range []User{
			{Email: "ada@example.com", PasswordHash: hasher.Unmatched()},
			{Email: "without-password@example.com", PasswordHash: s.dummyHash},
			{Email: "disabled@example.com", PasswordHash: hasher.Unmatched(), DisabledAt: &now},
		} {
			user.ID, user.Name, user.Generation, user.CreatedAt, user.UpdatedAt = uuid.New(), "Ada", 1, now, now
			if err := db.WithContext(t.Context()).Create(&user).Error; err != nil {
				t.Fatal(err)
			}
		}
		for _, email := range []string{
			"ada@example.com", "without-password@example.com", "disabled@example.com",
			"unknown@example.com", "not an email", "",
		} {
			for _, plain := range []string{"correct horse battery", "", "\a", "\xff"} {
				user, err := s.loginUser(t.Context(), email)
				if err != nil || (user != nil) != (email == "ada@example.com" || strings.Contains(email, "d@")) {
					t.Fatalf("%q: %v, %v", email, user, err)
				}
				if refusal, err := s.checkPassword(t.Context(), user, plain); !errors.Is(err, password.ErrBusy) {
					t.Errorf("%q, password %q: nothing was hashed: %q, %v", email, plain, refusal, err)
				}
			}
		}
		if hasher.Outdated(s.dummyHash) {
			t.Errorf("the hash of unknown emails has another cost than a current one: %s", s.dummyHash)
		}
	})
}
