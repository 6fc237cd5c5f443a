package httpapi_test

import (
	"bytes"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/totp"
)

// sealedSecret returns what the database has of the secret of a user's authenticator app.
func sealedSecret(t *testing.T, s *servertest.Server, email string) []byte {
	t.Helper()
	var row auth.TOTPFactor
	if err := s.DB.WithContext(t.Context()).Where("user_id = ?", userID(t, s, email)).Take(&row).Error; err != nil {
		t.Fatal(err)
	}
	return row.Sealed
}

// The database contains the secret of an authenticator app only sealed, and bound to its user: in
// the row of another user it is refused.
func TestTOTPSecretIsSealed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, _ := newUserWithApp(t, s)
		sealed := sealedSecret(t, s, email)
		if bytes.Contains(sealed, app.Secret) ||
			strings.Contains(hex.EncodeToString(sealed), hex.EncodeToString(app.Secret)) {
			t.Errorf("the secret is stored in plain: %x", sealed)
		}
		victim, victims, _ := newUserWithApp(t, s)
		moved := s.DB.WithContext(t.Context()).Model(&auth.TOTPFactor{}).Where("user_id = ?", userID(t, s, victim)).
			Update("sealed", sealed)
		if moved.Error != nil {
			t.Fatal(moved.Error)
		}
		response := s.CompleteLogin(t, s.LoginToken(t, victim), app.Code(t))
		if response.Status != http.StatusInternalServerError {
			t.Errorf("a secret in the row of another user: %d %s", response.Status, response.Raw)
		}
		if !strings.Contains(s.Log.String(), "sealed with another secret") {
			t.Error("the log does not say why")
		}
		s.LoginWith(t, victim, victims.RecoveryCodes[0]) // recovery codes still work
	})
}

// While the secret of the installation is rotated, codes work, and the secrets of apps are sealed
// again: with a login, and with the next purge.
func TestTOTPSecretsSurviveRotation(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		before := servertest.Start(t, engine, servertest.Options{})
		before.Clock.Stop()
		active, app, _ := newUserWithApp(t, before)
		passive, other, _ := newUserWithApp(t, before)
		token := before.LoginToken(t, active)
		rotated := secret.Secret("another secret of thirty-two bytes, and more")
		during := before.StartAnother(t, engine, servertest.Options{Secret: rotated, PreviousSecret: servertest.Secret})
		during.Clock.Stop()
		during.Clock.Advance(before.Clock.Now().Sub(during.Clock.Now())) // starting it may have taken long
		if response := during.CompleteLogin(t, token, app.Code(t)); response.Status != http.StatusOK {
			t.Errorf("a login that began before: %d %s", response.Status, response.Raw)
		}
		if err := during.Auth.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		sealed := sealedSecret(t, during, passive)
		after := before.StartAnother(t, engine, servertest.Options{Secret: rotated})
		for _, server := range []*servertest.Server{during, after} {
			server.Clock.Advance(time.Minute)
		}
		after.LoginWith(t, active, app.RecoveryCodes[0])
		after.LoginWith(t, passive, other.Secret.Code(totp.Step(after.Clock.Now())))
		if err := during.Auth.Purge(t.Context()); err != nil || !bytes.Equal(sealed, sealedSecret(t, during, passive)) {
			t.Errorf("sealed again without need: %v", err)
		}
	})
}

// An imported user logs in with the imported hash and the imported app. The first step of the login
// replaces the hash, because the second one does not have the password.
func TestImportedTOTP(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		raw, err := bcrypt.GenerateFromPassword([]byte(servertest.Password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		hash, imported := string(raw), totp.Secret("ten bytes!")
		batch := []auth.ImportedUser{
			{Name: "Ada", Email: "ada@example.com", PasswordHash: &hash, TOTPSecret: imported},
			{Name: "Grace", Email: "grace@example.com", PasswordHash: &hash},
		}
		for range 2 { // the second time, both exist
			if _, err := s.Auth.ImportUsers(t.Context(), batch, false); err != nil {
				t.Fatal(err)
			}
		}
		half := s.Post(t, "/auth/login", "email", "ada@example.com", "password", servertest.Password)
		if factors := half.Texts("factors"); len(factors) != 1 || factors[0] != "totp" {
			t.Fatalf("login: %d %s", half.Status, half.Raw)
		}
		user, err := s.Auth.FindUser(t.Context(), "ada@example.com")
		if err != nil || user.PasswordHash == hash {
			t.Errorf("the hash was not replaced: %v", err)
		}
		code := imported.Code(totp.Step(s.Clock.Now()))
		if response := s.CompleteLogin(t, half.Text("loginToken"), code); response.Status != http.StatusOK {
			t.Errorf("the code: %d %s", response.Status, response.Raw)
		}
		s.Login(t, "grace@example.com")
	})
}
