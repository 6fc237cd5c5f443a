package auth

import (
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
		for name, change := range map[string]map[string]any{
			"nothing":        {"name": "Grace"},
			"the generation": {"generation": gorm.Expr("generation + 1")},
			"the password":   {"password_hash": "another"},
			"disabled":       {"disabled_at": time.Now().UTC()},
		} {
			now := time.Now().UTC().Truncate(time.Microsecond)
			user := User{ID: uuid.New(), Name: "Ada", Email: uuid.NewString(), PasswordHash: "checked", Generation: 3, CreatedAt: now, UpdatedAt: now}
			if err := db.Create(&user).Error; err != nil {
				t.Fatal(err)
			}
			session, err := newSession(&user, Client{}, now, Settings{SessionLifetime: time.Hour, IdleLifetime: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Model(&User{}).Where("id = ?", user.ID).Updates(change).Error; err != nil {
				t.Fatal(err)
			}
			authority := &Authority{db: db}
			if opened, err := authority.open(t.Context(), session, &user); err != nil || opened != (name == "nothing") {
				t.Errorf("%s changed: opened %v, %v", name, opened, err)
			}
			var stored []Session
			if err := db.Where("user_id = ?", user.ID).Find(&stored).Error; err != nil || len(stored) != map[bool]int{true: 1}[name == "nothing"] {
				t.Errorf("%s changed: %d sessions, %v", name, len(stored), err)
			}
		}
	})
}
