package httpapi_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// With a second factor, no other way leads to a session that has not proved it: not a reset, not a
// link, not a new password, not a refresh, and nothing that an operator does.
func TestNoWayAroundTheFactor(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationRequired})
		email := s.NewUser(t)
		s.VerifyEmail(t, s.NextLinkToken(t, email, "verify-email"), servertest.Password)
		before := s.Login(t, email)
		app := s.AddApp(t, before.Access)
		id := userID(t, s, email)
		password := servertest.Password
		half := func(name string) {
			t.Helper()
			response := s.Post(t, "/auth/login", "email", email, "password", password)
			if response.Code() != "second_factor_required" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		half("login")

		s.ForgotPassword(t, email)
		if response := s.ResetPassword(t, s.NextResetToken(t, email), newPassword); response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		password = newPassword
		s.RequireEnded(t, before)
		half("after a reset")

		if err := s.Auth.SetPassword(t.Context(), id, servertest.Password); err != nil {
			t.Fatal(err)
		}
		password = servertest.Password
		half("after an operator set the password")

		if _, err := s.Auth.UnverifyUser(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		s.SendVerificationEmail(t, email)
		link := s.NextLinkToken(t, email, "verify-email")
		if response := s.VerifyEmail(t, link, password); response.Status != http.StatusOK ||
			response.Text("accessToken") != "" {
			t.Errorf("verify: %d %s", response.Status, response.Raw)
		}
		half("after a verification")

		for name, change := range map[string]func(uuid.UUID) error{
			"disabled and enabled": func(id uuid.UUID) error {
				if _, err := s.Auth.DisableUser(t.Context(), id); err != nil {
					return err
				}
				_, err := s.Auth.EnableUser(t.Context(), id)
				return err
			},
			"logged out everywhere": func(id uuid.UUID) error {
				_, err := s.Auth.RevokeSessions(t.Context(), id)
				return err
			},
		} {
			if err := change(id); err != nil {
				t.Fatal(err)
			}
			half(name)
		}

		// Changing the password continues a session that has proved the factor. It does not prove it.
		tokens := s.LoginWith(t, email, app.RecoveryCodes[0])
		tokens = tokensOf(t, s.ChangePassword(t, tokens.Access, newPassword))
		password = newPassword
		if claims, _ := factorClaims(t, tokens.Access); claims != "[pwd mfa] aal2" {
			t.Errorf("after the password was changed: %s", claims)
		}
		half("after the password was changed")
		s.LoginWithPassword(t, email, newPassword, app.RecoveryCodes[1])

		link2 := changeEmailOf(t, s, email, tokens.Access, newPassword)
		if response := s.ConfirmEmailChange(t, link2, newPassword); response.Status != 200 ||
			response.Text("accessToken") != "" {
			t.Errorf("confirm: %d %s", response.Status, response.Raw)
		}
		email = "next-" + email
		half("after the email was changed")
	})
}

// changeEmailOf requests a change of the email to "next-" + email and returns the token of the
// link.
func changeEmailOf(t *testing.T, s *servertest.Server, email, access, password string) string {
	t.Helper()
	response := s.As(t, access, http.MethodPost, "/auth/change-email", "email", "next-"+email, "password", password)
	if response.Status != http.StatusAccepted {
		t.Fatalf("change: %d %s", response.Status, response.Raw)
	}
	return s.NextLinkToken(t, "next-"+email, "confirm-email-change")
}

// A session of before the factor was added is not upgraded by a refresh or a new password, and one
// that a login stores must have proved the factor, even if the factor was added during the login.
func TestSessionsFromBeforeTheFactor(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		older := s.Login(t, email)
		s.AddApp(t, s.Login(t, email).Access)
		older = s.Refresh(t, older.Refresh)
		if claims, _ := factorClaims(t, older.Access); claims != "[pwd] aal1" {
			t.Errorf("after a refresh: %s", claims)
		}
		if response := s.ChangePassword(t, older.Access, newPassword); challenge(response) != factorChallenge {
			t.Errorf("change the password: %d %s", response.Status, response.Raw)
		}
	})
}

// An attacker who registers the email of somebody else and plants a factor and a passkey loses both
// when the owner's reset verifies the email for the first time. A later reset removes nothing.
func TestPlantedFactors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{}) // verifies no emails, so factors can be planted
		email := s.NewUser(t)
		attacker := s.Login(t, email)
		planted := s.AddPasskey(t, attacker.Access)
		s.AddApp(t, attacker.Access)
		byPasskey := s.LoginWithPasskey(t, planted)
		reset := func(password string) {
			t.Helper()
			s.ForgotPassword(t, email)
			if response := s.ResetPassword(t, s.NextResetToken(t, email), password); response.Status != 200 {
				t.Fatalf("reset: %d %s", response.Status, response.Raw)
			}
		}
		reset(newPassword)
		s.RequireEnded(t, attacker)
		s.RequireEnded(t, byPasskey)
		if response := s.PasskeyLogin(t, planted.Sign(t, s.PasskeyLoginOptions(t))); response.Code() != "invalid_passkey" {
			t.Errorf("the planted passkey: %d %s", response.Status, response.Raw)
		}
		owner := tokensOf(t, s.Post(t, "/auth/login", "email", email, "password", newPassword)) // no code
		list := s.As(t, owner.Access, http.MethodGet, "/auth/factors")
		if list.Body["recoveryCodesLeft"] != 0.0 || len(passkeyNames(t, s, owner.Access)) != 0 {
			t.Errorf("left: %s, %q", list.Raw, passkeyNames(t, s, owner.Access))
		}
		own := s.AddPasskey(t, owner.Access)
		app := s.AddApp(t, owner.Access)
		reset(servertest.Password)
		s.LoginWithPasskey(t, own)
		s.LoginWith(t, email, app.Code(t))
	})
}

// Undoing a change of the email removes the factors that were added since, and keeps those from
// before.
func TestUndoRemovesLaterFactors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		for _, appBefore := range []bool{true, false} {
			email := s.NewUser(t)
			if _, err := s.Auth.VerifyUser(t.Context(), userID(t, s, email)); err != nil {
				t.Fatal(err)
			}
			tokens := s.Login(t, email)
			kept := s.AddPasskey(t, tokens.Access)
			var app *servertest.App
			if appBefore {
				app = s.AddApp(t, tokens.Access)
				tokens = s.Refresh(t, tokens.Refresh)
			}
			s.Clock.Advance(time.Minute)
			link := changeEmailOf(t, s, email, tokens.Access, servertest.Password)
			if response := s.ConfirmEmailChange(t, link, servertest.Password); response.Status != http.StatusOK {
				t.Fatalf("confirm: %d %s", response.Status, response.Raw)
			}
			undo := s.NextLinkToken(t, email, "undo-email-change")
			s.Clock.Advance(time.Minute)
			added := s.AddPasskey(t, tokens.Access)
			if appBefore {
				if response := s.As(t, tokens.Access, http.MethodPost, "/auth/recovery-codes"); response.Status != 200 {
					t.Fatalf("renew: %d %s", response.Status, response.Raw)
				}
			} else {
				s.AddApp(t, tokens.Access)
			}
			if response := s.UndoEmailChange(t, undo); response.Status != http.StatusOK {
				t.Fatalf("undo: %d %s", response.Status, response.Raw)
			}
			reset := s.NextResetToken(t, email)
			if response := s.PasskeyLogin(t, added.Sign(t, s.PasskeyLoginOptions(t))); response.Code() != "invalid_passkey" {
				t.Errorf("a passkey that was added later: %d %s", response.Status, response.Raw)
			}
			s.LoginWithPasskey(t, kept)
			if response := s.ResetPassword(t, reset, servertest.Password); response.Status != http.StatusOK {
				t.Fatalf("reset: %d %s", response.Status, response.Raw)
			}
			if !appBefore {
				s.Login(t, email)
				continue
			}
			half := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
			if !slices.Equal(half.Texts("factors"), []string{"totp"}) {
				t.Errorf("recovery codes that were renewed later: %s", half.Raw)
			}
			s.Clock.Advance(time.Minute)
			s.LoginWith(t, email, app.Code(t))
		}
	})
}

// An operator removes the factors of a user who has lost the phone.
func TestOperatorRemovesFactors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, _ := newUserWithApp(t, s)
		tokens := s.LoginWith(t, email, app.Code(t))
		device := s.AddPasskey(t, tokens.Access)
		byPasskey := s.LoginWithPasskey(t, device)
		removed, err := s.Auth.RemoveFactors(t.Context(), userID(t, s, email))
		if err != nil || removed != (auth.RemovedFactors{TOTP: true, Passkeys: 1}) {
			t.Fatalf("%+v, %v", removed, err)
		}
		subjects := s.Inbox(t).Subjects(email)
		for _, want := range []string{
			"Two-step login is off for your Sesame account", "A passkey was removed from your Sesame account",
		} {
			if !slices.Contains(subjects, want) {
				t.Errorf("no email %q among %q", want, subjects)
			}
		}
		s.Login(t, email)
		if response := s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t))); response.Code() != "invalid_passkey" {
			t.Errorf("the passkey: %d %s", response.Status, response.Raw)
		}
		for _, test := range []struct {
			tokens servertest.Tokens
			want   string
		}{{tokens, "[pwd] aal1"}, {byPasskey, "[pop user] aal1"}} {
			if claims, _ := factorClaims(t, s.Refresh(t, test.tokens.Refresh).Access); claims != test.want {
				t.Errorf("claims: %s, want %s", claims, test.want)
			}
		}
		if removed, err := s.Auth.RemoveFactors(t.Context(), userID(t, s, email)); err != nil || removed.TOTP {
			t.Errorf("again: %+v, %v", removed, err)
		}
	})
}
