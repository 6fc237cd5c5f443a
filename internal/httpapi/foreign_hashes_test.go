package httpapi_test

import (
	"net/http"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Users who come from elsewhere log in with the password they have. The first login makes their hash today's,
// and of many first logins at once none is refused for it.
func TestForeignHashIsReplacedAtLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		address := s.NewUser(t)
		older := s.Login(t, address)
		foreign, err := bcrypt.GenerateFromPassword([]byte(servertest.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", address).UpdateColumn("password_hash", string(foreign)).Error; err != nil {
			t.Fatal(err)
		}
		read := func() (user auth.User) {
			if err := s.DB.WithContext(t.Context()).Where("email = ?", address).Take(&user).Error; err != nil {
				t.Fatal(err)
			}
			return user
		}
		before := read()
		if answer := s.Post(t, "/auth/login", "email", address, "password", "a wrong password"); answer.Status != http.StatusUnauthorized || read().PasswordHash != string(foreign) {
			t.Errorf("a wrong password: %d, %s", answer.Status, read().PasswordHash)
		}
		for _, answer := range atOnce(12, func() servertest.Answer {
			return s.Post(t, "/auth/login", "email", address, "password", servertest.Password)
		}) {
			if answer.Status != http.StatusOK {
				t.Errorf("a first login: %d %s", answer.Status, answer.Raw)
			}
		}
		after := read()
		if password.NewHasher(password.Config{Parameters: password.WeakParameters}).Outdated(after.PasswordHash) || after.Generation != before.Generation || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("after: %+v\nbefore: %+v", after, before)
		}
		s.ExpectLive(t, older)
		s.Login(t, address)
		if again := read(); again.PasswordHash != after.PasswordHash {
			t.Error("a hash of today was replaced")
		}
	})
}
