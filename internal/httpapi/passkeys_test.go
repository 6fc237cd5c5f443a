package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// passkeyNames returns the names of the passkeys of the account of an access token.
func passkeyNames(t *testing.T, s *servertest.Server, accessToken string) []string {
	t.Helper()
	response := s.As(t, accessToken, http.MethodGet, "/auth/passkeys")
	names := []string{}
	list, _ := response.Body["passkeys"].([]any)
	for _, entry := range list {
		passkey, _ := entry.(map[string]any)
		names = append(names, fmt.Sprint(passkey["name"]))
	}
	return names
}

// A user adds a passkey, logs in with it, renames and removes it.
func TestPasskeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		device := s.AddPasskey(t, tokens.Access)
		s.RequireEmail(t, "New passkey for your Sesame account")
		byPasskey := s.LoginWithPasskey(t, device)
		if claims, _ := factorClaims(t, byPasskey.Access); claims != "[pop user mfa] aal2" {
			t.Errorf("claims: %s", claims)
		}
		next := s.RequireActive(t, byPasskey)
		if claims, _ := factorClaims(t, next.Access); claims != "[pop user mfa] aal2" {
			t.Errorf("claims after a refresh: %s", claims)
		}
		if names := passkeyNames(t, s, next.Access); !slices.Equal(names, []string{"Passkey"}) {
			t.Errorf("passkeys: %q", names)
		}
		path := "/auth/passkeys/" + device.ID
		if response := s.As(t, next.Access, http.MethodPatch, path, "name", "Phone"); response.Text("name") != "Phone" {
			t.Errorf("rename: %d %s", response.Status, response.Raw)
		}
		another := servertest.NewDevice()
		added := s.As(t, tokens.Access, http.MethodPost, "/auth/passkeys", "name", "Laptop",
			"credential", another.Create(t, s.PasskeyOptions(t, tokens.Access)))
		if added.Status != http.StatusOK || added.Text("name") != "Laptop" {
			t.Fatalf("add: %d %s", added.Status, added.Raw)
		}
		byAnother := s.LoginWithPasskey(t, another)
		if names := passkeyNames(t, s, next.Access); !slices.Equal(names, []string{"Phone", "Laptop"}) {
			t.Errorf("passkeys: %q", names)
		}
		if response := s.As(t, tokens.Access, http.MethodDelete, path); response.Status != http.StatusOK {
			t.Fatalf("remove: %d %s", response.Status, response.Raw)
		}
		s.RequireEmail(t, "A passkey was removed from your Sesame account")
		gone := s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t)))
		if gone.Status != http.StatusUnauthorized || gone.Code() != "invalid_passkey" {
			t.Errorf("login with the removed passkey: %d %s", gone.Status, gone.Raw)
		}
		for name, test := range map[string]struct {
			tokens servertest.Tokens
			want   string
		}{
			"of the removed passkey": {next, "[pop user] aal1"},
			"of the other passkey":   {byAnother, "[pop user mfa] aal2"},
			"of the password":        {tokens, "[pwd] aal1"},
		} {
			if claims, _ := factorClaims(t, s.Refresh(t, test.tokens.Refresh).Access); claims != test.want {
				t.Errorf("the session %s: %s", name, claims)
			}
		}
	})
}

// The options say what the browser must do, and, for a login, not who has an account.
func TestPasskeyOptions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		user := userWithName(t, s)
		tokens := s.Login(t, user.Email)
		device := s.AddPasskey(t, tokens.Access)
		var created struct {
			RP, User map[string]string
			Excluded []map[string]any `json:"excludeCredentials"`
			Selected map[string]any   `json:"authenticatorSelection"`
			Timeout  int
		}
		if err := json.Unmarshal([]byte(s.PasskeyOptions(t, tokens.Access)), &created); err != nil {
			t.Fatal(err)
		}
		wantUser := map[string]string{
			"id": base64url.EncodeToString(user.ID[:]), "name": user.Email, "displayName": user.Name,
		}
		if fmt.Sprint(created.User) != fmt.Sprint(wantUser) || created.RP["id"] != servertest.RPID ||
			created.Timeout != 300_000 {
			t.Errorf("%+v", created)
		}
		if created.Selected["userVerification"] != "required" || created.Selected["residentKey"] != "required" {
			t.Errorf("selection: %v", created.Selected)
		}
		if len(created.Excluded) != 1 || created.Excluded[0]["id"] != base64url.EncodeToString(device.Credential.ID) {
			t.Errorf("excluded: %v", created.Excluded)
		}
		var requested map[string]any
		if err := json.Unmarshal([]byte(s.PasskeyLoginOptions(t)), &requested); err != nil {
			t.Fatal(err)
		}
		delete(requested, "challenge")
		want := map[string]any{
			"allowCredentials": []any{}, "rpId": servertest.RPID, "timeout": 300_000.0, "userVerification": "required",
		}
		if fmt.Sprint(requested) != fmt.Sprint(want) {
			t.Errorf("%v", requested)
		}
	})
}

// changedDevices are changes of a device that make its answers invalid.
var changedDevices = map[string]func(d *servertest.Device){
	"another origin":         func(d *servertest.Device) { d.Page.Origin = "https://evil.test" },
	"a subdomain":            func(d *servertest.Device) { d.Page.Origin = "https://x.auth.example.test" },
	"the parent domain":      func(d *servertest.Device) { d.Page.Origin = "https://example.test" },
	"http":                   func(d *servertest.Device) { d.Page.Origin = "http://auth.example.test" },
	"another port":           func(d *servertest.Device) { d.Page.Origin = "https://auth.example.test:8443" },
	"a longer domain":        func(d *servertest.Device) { d.Page.Origin = servertest.PublicURL + ".evil.test" },
	"another RP ID":          func(d *servertest.Device) { d.Page.ID = "auth.example.test" },
	"no user verification":   func(d *servertest.Device) { d.Authenticator.Options.UserNotVerified = true },
	"no user presence":       func(d *servertest.Device) { d.Authenticator.Options.UserNotPresent = true },
	"backed up, not synced":  func(d *servertest.Device) { d.Authenticator.Options.BackupEligible = false },
	"no challenge of ours":   nil,
	"a challenge of a login": nil,
}

// A new passkey is accepted only from the right page, for the right RP ID, after a check of the
// user, and for a challenge of this user and session that was not used.
func TestPasskeyRegistrationRefuses(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		refused := func(name string, access string, credential json.RawMessage) {
			t.Helper()
			response := s.FinishPasskey(t, access, credential)
			if response.Status != http.StatusForbidden || response.Code() != "invalid_passkey" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		for name, change := range changedDevices {
			device, options := servertest.NewDevice(), s.PasskeyOptions(t, tokens.Access)
			switch {
			case change != nil:
				change(device)
			case name == "no challenge of ours":
				options = withChallenge(t, options, base64url.EncodeToString(make([]byte, 32)))
			default:
				options = withChallenge(t, options, challengeOf(t, s.PasskeyLoginOptions(t)))
			}
			refused(name, tokens.Access, device.Create(t, options))
		}
		other := s.Login(t, email)
		stranger := s.Login(t, s.NewUser(t))
		refused("another session", other.Access, servertest.NewDevice().Create(t, s.PasskeyOptions(t, tokens.Access)))
		refused("another user", stranger.Access, servertest.NewDevice().Create(t, s.PasskeyOptions(t, tokens.Access)))
		options := s.PasskeyOptions(t, tokens.Access)
		device := servertest.NewDevice()
		credential := device.Create(t, options)
		if response := s.FinishPasskey(t, tokens.Access, credential); response.Status != http.StatusOK {
			t.Fatalf("the right one: %d %s", response.Status, response.Raw)
		}
		refused("the challenge again", tokens.Access, credential)
		refused("the challenge for another credential", tokens.Access, servertest.NewDevice().Create(t, options))
		exists := s.FinishPasskey(t, stranger.Access, device.Create(t, s.PasskeyOptions(t, stranger.Access)))
		if exists.Status != http.StatusConflict || exists.Code() != "passkey_exists" {
			t.Errorf("the credential of another user: %d %s", exists.Status, exists.Raw)
		}
		if names := passkeyNames(t, s, tokens.Access); len(names) != 1 {
			t.Errorf("passkeys: %q", names)
		}
		s.Clock.Stop()
		options = s.PasskeyOptions(t, tokens.Access)
		s.Clock.Advance(5 * time.Minute)
		refused("after five minutes", tokens.Access, servertest.NewDevice().Create(t, options))
	})
}

func challengeOf(t *testing.T, options string) string {
	t.Helper()
	var parsed struct{ Challenge string }
	if err := json.Unmarshal([]byte(options), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed.Challenge
}

// withChallenge returns options with another challenge.
func withChallenge(t *testing.T, options, challenge string) string {
	t.Helper()
	return strings.Replace(options, challengeOf(t, options), challenge, 1)
}

// A login with a passkey is accepted only under the same conditions. Everything else returns the
// same problem.
func TestPasskeyLoginRefuses(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		registered := s.AddPasskey(t, tokens.Access)
		stranger := s.AddPasskey(t, s.Login(t, s.NewUser(t)).Access)
		var problem string
		refused := func(name string, credential json.RawMessage) {
			t.Helper()
			response := s.PasskeyLogin(t, credential)
			if response.Status != http.StatusUnauthorized || response.Code() != "invalid_passkey" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
			delete(response.Body, "instance")
			if text := fmt.Sprint(response.Body); problem == "" {
				problem = text
			} else if text != problem {
				t.Errorf("%s looks different: %s", name, text)
			}
		}
		for name, change := range changedDevices {
			device, options := *registered, s.PasskeyLoginOptions(t)
			switch {
			case change != nil:
				change(&device)
			case name == "no challenge of ours":
				options = withChallenge(t, options, base64url.EncodeToString(make([]byte, 32)))
			default:
				options = withChallenge(t, options, challengeOf(t, s.PasskeyOptions(t, tokens.Access)))
			}
			refused(name, device.Sign(t, options))
		}
		unknown := servertest.NewDevice()
		unknown.Authenticator.Options.UserHandle = registered.Authenticator.Options.UserHandle
		refused("an unknown credential", unknown.Sign(t, s.PasskeyLoginOptions(t)))
		unknown.Authenticator.Options.UserHandle = make([]byte, 16)
		refused("an unknown user", unknown.Sign(t, s.PasskeyLoginOptions(t)))
		another := *registered
		another.Authenticator.Options.UserHandle = stranger.Authenticator.Options.UserHandle
		refused("the user handle of another user", another.Sign(t, s.PasskeyLoginOptions(t)))
		another = *registered
		another.Credential.Key = servertest.NewDevice().Credential.Key
		refused("the key of another credential", another.Sign(t, s.PasskeyLoginOptions(t)))

		answer := registered.Sign(t, s.PasskeyLoginOptions(t))
		if response := s.PasskeyLogin(t, answer); response.Status != http.StatusOK {
			t.Fatalf("the right one: %d %s", response.Status, response.Raw)
		}
		refused("the answer again", answer)
		registered.Page.Origin = servertest.AppOrigin
		s.LoginWithPasskey(t, registered)
		s.Clock.Stop()
		options := s.PasskeyLoginOptions(t)
		s.Clock.Advance(5 * time.Minute)
		refused("after five minutes", registered.Sign(t, options))
		if _, err := s.Auth.DisableUser(t.Context(), userID(t, s, email)); err != nil {
			t.Fatal(err)
		}
		refused("a disabled user", registered.Sign(t, s.PasskeyLoginOptions(t)))
	})
}

// An answer is one login, however often it is sent in parallel, to two instances.
func TestPasskeyAnswerWorksOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		instances := []*servertest.Server{s, s.StartAnother(t, engine, servertest.Options{})}
		tokens := s.Login(t, s.NewUser(t))
		device := s.AddPasskey(t, tokens.Access)
		answer := device.Sign(t, s.PasskeyLoginOptions(t))
		created := servertest.NewDevice().Create(t, s.PasskeyOptions(t, tokens.Access))
		logins, registrations := make([]int, 50), make([]int, 10)
		var all sync.WaitGroup
		for i := range logins {
			all.Go(func() { logins[i] = instances[i%2].PasskeyLogin(t, answer).Status })
		}
		for i := range registrations {
			all.Go(func() { registrations[i] = instances[i%2].FinishPasskey(t, tokens.Access, created).Status })
		}
		all.Wait()
		slices.Sort(logins)
		slices.Sort(registrations)
		if logins[0] != 200 || logins[1] != 401 || registrations[0] != 200 || registrations[1] != 403 {
			t.Errorf("logins: %v, registrations: %v", logins, registrations)
		}
	})
}

// A signature count that goes back is on record. It refuses a key that cannot be synchronized.
func TestPasskeyCountGoesBack(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, synced := range []bool{true, false} {
			email := s.NewUser(t)
			device := servertest.NewDevice()
			device.Authenticator.Options.BackupEligible, device.Authenticator.Options.BackupState = synced, synced
			device.Credential.Counter = 5
			access := s.Login(t, email).Access
			if response := s.FinishPasskey(t, access, device.Create(t, s.PasskeyOptions(t, access))); response.Status != 200 {
				t.Fatalf("add: %d %s", response.Status, response.Raw)
			}
			device.Credential.Counter = 6
			s.LoginWithPasskey(t, device)
			for range 2 {
				response := s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t)))
				if (response.Status == http.StatusOK) != synced {
					t.Errorf("synced %t, the same count again: %d %s", synced, response.Status, response.Raw)
				}
			}
			events := 0
			for _, event := range recorded(t, s) {
				if event.Kind == "passkey-count" && event.Email == email {
					events++
				}
			}
			if events != 1 {
				t.Errorf("synced %t: %d events", synced, events)
			}
			device.Credential.Counter = 7
			s.LoginWithPasskey(t, device)
		}
		if !strings.Contains(s.Log.String(), "the signature count of a passkey went back") {
			t.Error("no warning")
		}
	})
}

// RS256 keys, which some laptops have, work too.
func TestPasskeyWithRSA(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		access := s.Login(t, s.NewUser(t)).Access
		device := servertest.NewDevice()
		device.Credential = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeRSA)
		if response := s.FinishPasskey(t, access, device.Create(t, s.PasskeyOptions(t, access))); response.Status != 200 {
			t.Fatalf("add: %d %s", response.Status, response.Raw)
		}
		s.LoginWithPasskey(t, device)
	})
}

// A user has at most 20 passkeys, and another user's are out of reach.
func TestPasskeysOfOthers(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		owner, stranger := s.Login(t, s.NewUser(t)), s.Login(t, s.NewUser(t))
		device := s.AddPasskey(t, owner.Access)
		for _, id := range []string{device.ID, strings.ToUpper(device.ID), "x", "01980a5e-7d2c-7a00-b1c4-6e2a9f3d5b10"} {
			access := stranger.Access
			if id == "x" {
				access = owner.Access
			}
			for method, members := range map[string][]any{http.MethodPatch: {"name", "mine"}, http.MethodDelete: nil} {
				if response := s.As(t, access, method, "/auth/passkeys/"+id, members...); response.Status != 404 {
					t.Errorf("%s %s: %d %s", method, id, response.Status, response.Raw)
				}
			}
		}
		long := s.As(t, owner.Access, http.MethodDelete, "/auth/passkeys/"+strings.Repeat("a", 65))
		expectCode(t, long, http.StatusBadRequest, "validation_failed")
		waiting := s.PasskeyOptions(t, owner.Access)
		for range 19 {
			s.AddPasskey(t, owner.Access)
		}
		for name, response := range map[string]servertest.Response{
			"options": s.As(t, owner.Access, http.MethodPost, "/auth/passkey-options"),
			"finish":  s.FinishPasskey(t, owner.Access, servertest.NewDevice().Create(t, waiting)),
		} {
			if response.Status != http.StatusConflict || response.Code() != "passkey_limit" {
				t.Errorf("the 21st passkey, %s: %d %s", name, response.Status, response.Raw)
			}
		}
	})
}

// An account without a password is proved by a passkey, and keeps its last one. It sets a password
// with a reset.
func TestAccountWithoutPassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		access := s.Login(t, email).Access
		devices := []*servertest.Device{s.AddPasskey(t, access), s.AddPasskey(t, access)}
		removePassword(t, s, email)
		tokens := s.LoginWithPasskey(t, devices[0])
		if response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password); response.Status != 401 {
			t.Errorf("login: %d", response.Status)
		}
		proof := s.As(t, tokens.Access, http.MethodPost, "/auth/reauthenticate", "password", servertest.Password)
		if proof.Status != http.StatusForbidden || proof.Code() != "incorrect_password" {
			t.Errorf("reauthenticate: %d %s", proof.Status, proof.Raw)
		}
		if response := s.As(t, tokens.Access, http.MethodDelete, "/auth/passkeys/"+devices[1].ID); response.Status != 200 {
			t.Errorf("removing a passkey: %d %s", response.Status, response.Raw)
		}
		last := s.As(t, tokens.Access, http.MethodDelete, "/auth/passkeys/"+devices[0].ID)
		if last.Status != http.StatusConflict || last.Code() != "last_passkey" {
			t.Errorf("removing the last passkey: %d %s", last.Status, last.Raw)
		}
		s.Clock.Advance(11 * time.Minute)
		for path, members := range map[string][]any{
			"/auth/change-email":    {"email", "next@example.com"},
			"/auth/change-password": {"password", newPassword},
			"/auth/delete-account":  {"x", 1},
		} {
			response := s.As(t, tokens.Access, http.MethodPost, path, members...)
			if challenge(response) != recentChallenge {
				t.Errorf("%s without a recent login: %d %s", path, response.Status, response.Raw)
			}
		}
		left := devices[0]
		tokens = s.LoginWithPasskey(t, left)
		s.ForgotPassword(t, email)
		if response := s.ResetPassword(t, s.NextResetToken(t, email), newPassword); response.Status != http.StatusOK {
			t.Fatalf("reset: %d %s", response.Status, response.Raw)
		}
		s.RequireEnded(t, tokens)
		tokens = s.LoginWithPasskey(t, left) // an email that was verified before: the passkeys stay
		if response := s.As(t, tokens.Access, http.MethodDelete,
			"/auth/passkeys/"+left.ID); response.Status != http.StatusOK {
			t.Errorf("removing the last passkey of an account with a password: %d %s", response.Status, response.Raw)
		}
	})
}

// Of two removals at the same time, one finds that it would remove the last passkey.
func TestRemovingTheLastPasskeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for range 10 {
			email := s.NewUser(t)
			access := s.Login(t, email).Access
			devices := []*servertest.Device{s.AddPasskey(t, access), s.AddPasskey(t, access)}
			removePassword(t, s, email)
			tokens := s.LoginWithPasskey(t, devices[0])
			statuses := make([]int, len(devices))
			var both sync.WaitGroup
			for i, device := range devices {
				both.Go(func() {
					statuses[i] = s.As(t, tokens.Access, http.MethodDelete, "/auth/passkeys/"+device.ID).Status
				})
			}
			both.Wait()
			slices.Sort(statuses)
			if names := passkeyNames(t, s, tokens.Access); !slices.Equal(statuses, []int{200, 409}) || len(names) != 1 {
				t.Errorf("%v, passkeys left: %d", statuses, len(names))
			}
		}
	})
}

// A login token is no challenge for a passkey, although both are sealed in the same way.
func TestLoginTokenIsNoChallenge(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, _, first := newUserWithApp(t, s)
		device := s.AddPasskey(t, s.Refresh(t, first.Refresh).Access)
		options := withChallenge(t, s.PasskeyLoginOptions(t), s.LoginToken(t, email))
		if response := s.PasskeyLogin(t, device.Sign(t, options)); response.Code() != "invalid_passkey" {
			t.Errorf("%d %s", response.Status, response.Raw)
		}
		challenge := challengeOf(t, s.PasskeyLoginOptions(t))
		if response := s.CompleteLogin(t, challenge, "000000"); response.Code() != "invalid_login_token" {
			t.Errorf("a challenge as a login token: %d %s", response.Status, response.Raw)
		}
	})
}

// removePassword removes the password of a user, as an import without one does, and verifies the
// email.
func removePassword(t *testing.T, s *servertest.Server, email string) {
	t.Helper()
	if _, err := s.Auth.VerifyUser(t.Context(), userID(t, s, email)); err != nil {
		t.Fatal(err)
	}
	change := map[string]any{"password_hash": ""}
	if err := s.DB.WithContext(t.Context()).Model(&auth.User{}).Where("email = ?",
		email).Updates(change).Error; err != nil {
		t.Fatal(err)
	}
}

// A passkey logs in an account with a second factor without a code, and a login by password still
// asks for it.
func TestPasskeyAndApp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, _, first := newUserWithApp(t, s)
		device := s.AddPasskey(t, s.Refresh(t, first.Refresh).Access)
		tokens := s.LoginWithPasskey(t, device)
		s.LoginToken(t, email)
		if response := s.As(t, tokens.Access, http.MethodDelete, "/auth/factors/totp"); response.Status != http.StatusOK {
			t.Errorf("a recent passkey login removes the app: %d %s", response.Status, response.Raw)
		}
		if claims, _ := factorClaims(t, s.Refresh(t, tokens.Refresh).Access); claims != "[pop user mfa] aal2" {
			t.Errorf("the session of the passkey: %s", claims)
		}
	})
}

// With a server that requires verified emails, a passkey does not log in an account whose email is
// not verified any more.
func TestPasskeyOfUnverifiedUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationRequired})
		email := s.NewUser(t)
		s.VerifyEmail(t, s.NextLinkToken(t, email, "verify-email"), servertest.Password)
		device := s.AddPasskey(t, s.Login(t, email).Access)
		s.LoginWithPasskey(t, device)
		if _, err := s.Auth.UnverifyUser(t.Context(), userID(t, s, email)); err != nil {
			t.Fatal(err)
		}
		response := s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t)))
		if response.Status != http.StatusForbidden || response.Code() != "email_not_verified" {
			t.Errorf("%d %s", response.Status, response.Raw)
		}
		if _, err := s.Auth.DisableUser(t.Context(), userID(t, s, email)); err != nil {
			t.Fatal(err)
		}
		response = s.PasskeyLogin(t, device.Sign(t, s.PasskeyLoginOptions(t)))
		if response.Status != http.StatusUnauthorized || response.Code() != "invalid_passkey" {
			t.Errorf("disabled: %d %s", response.Status, response.Raw)
		}
	})
}

// Logins with passkeys are limited for each network. Successful ones do not count.
func TestPasskeyLoginsAreLimited(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: true})
		s.Clock.Stop()
		login := servertest.Call{IP: strangerIP, Path: "/auth/login/passkey"}
		device := s.AddPasskey(t, s.Login(t, s.NewUser(t)).Access)
		for range 35 {
			response := login.Send(t, s, "credential", device.Sign(t, s.PasskeyLoginOptions(t)))
			if response.Status != http.StatusOK {
				t.Fatalf("login: %d %s", response.Status, response.Raw)
			}
		}
		unknown := servertest.NewDevice()
		unknown.Authenticator.Options.UserHandle = make([]byte, 16)
		for attempt := range 31 {
			response := login.Send(t, s, "credential", unknown.Sign(t, s.PasskeyLoginOptions(t)))
			if want := map[bool]int{true: 401, false: 429}[attempt < 30]; response.Status != want {
				t.Errorf("attempt %d: %d", attempt+1, response.Status)
			}
		}
	})
}
