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

// Imported users log in with their old password. The first login replaces their hash with one of
// the current algorithm and cost. Parallel first logins all succeed.
func TestImportedHashIsReplacedAtLogin(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		older := s.Login(t, email)
		imported, err := bcrypt.GenerateFromPassword([]byte(servertest.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		db := s.DB.WithContext(t.Context())
		update := db.Model(&auth.User{}).Where("email = ?", email).UpdateColumn("password_hash", string(imported))
		if update.Error != nil {
			t.Fatal(update.Error)
		}
		read := func() (user auth.User) {
			if err := db.Where("email = ?", email).Take(&user).Error; err != nil {
				t.Fatal(err)
			}
			return user
		}
		before := read()
		response := s.Post(t, "/auth/login", "email", email, "password", "a wrong password")
		if response.Status != http.StatusUnauthorized || read().PasswordHash != string(imported) {
			t.Errorf("a wrong password: %d, %s", response.Status, read().PasswordHash)
		}
		for _, response := range atOnce(12, func() servertest.Response {
			return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		}) {
			if response.Status != http.StatusOK {
				t.Errorf("a first login: %d %s", response.Status, response.Raw)
			}
		}
		after := read()
		hasher := password.NewHasher(password.Config{Parameters: password.WeakParameters})
		if hasher.Outdated(after.PasswordHash) || after.Generation != before.Generation ||
			!after.UpdatedAt.Equal(before.UpdatedAt) {
			t.Errorf("after: %+v\nbefore: %+v", after, before)
		}
		s.RequireActive(t, older)
		s.Login(t, email)
		if again := read(); again.PasswordHash != after.PasswordHash {
			t.Error("a current hash was replaced")
		}
	})
}
