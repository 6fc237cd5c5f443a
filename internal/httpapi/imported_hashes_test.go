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
func TestImportedHashIsReplacedAtLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		older := s.Login(t, email)
		foreign, err := bcrypt.GenerateFromPassword([]byte(servertest.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?", email).UpdateColumn("password_hash", string(foreign)).Error; err != nil {
			t.Fatal(err)
		}
		read := func() (user auth.User) {
			if err := s.DB.WithContext(t.Context()).Where("email = ?", email).Take(&user).Error; err != nil {
				t.Fatal(err)
			}
			return user
		}
		before := read()
		if response := s.Post(t, "/auth/login", "email", email, "password", "a wrong password"); response.Status != http.StatusUnauthorized || read().PasswordHash != string(foreign) {
			t.Errorf("a wrong password: %d, %s", response.Status, read().PasswordHash)
		}
		for _, response := range atOnce(12, func() servertest.Answer {
			return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		}) {
			if response.Status != http.StatusOK {
				t.Errorf("a first login: %d %s", response.Status, response.Raw)
			}
		}
		after := read()
		if password.NewHasher(password.Config{Parameters: password.WeakParameters}).Outdated(after.PasswordHash) || after.Generation != before.Generation || !after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("after: %+v\nbefore: %+v", after, before)
		}
		s.ExpectLive(t, older)
		s.Login(t, email)
		if again := read(); again.PasswordHash != after.PasswordHash {
			t.Error("a hash of today was replaced")
		}
	})
}
