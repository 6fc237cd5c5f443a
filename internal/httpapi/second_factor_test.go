package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/totp"
)

// newUserWithApp returns the email, which is verified, and the authenticator app of a new user, and
// the tokens of the session that added the app.
func newUserWithApp(t *testing.T, s *servertest.Server) (string, *servertest.App, servertest.Tokens) {
	t.Helper()
	email := s.NewUser(t)
	if _, err := s.Auth.VerifyUser(t.Context(), userID(t, s, email)); err != nil {
		t.Fatal(err)
	}
	tokens := s.Login(t, email)
	app := s.AddApp(t, tokens.Access)
	s.RequireEmail(t, "Two-step login is on for your Sesame account")
	return email, app, tokens
}

func userID(t *testing.T, s *servertest.Server, email string) uuid.UUID {
	t.Helper()
	user, err := s.Auth.FindUser(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return user.ID
}

// factorClaims returns the claims amr and acr of an access token, and auth_time.
func factorClaims(t *testing.T, accessToken string) (claims string, authTime int64) {
	t.Helper()
	content := parsePart(t, strings.Split(accessToken, ".")[1])
	at, _ := content["auth_time"].(float64)
	return fmt.Sprint(content["amr"], " ", content["acr"]), int64(at)
}

// With a second factor, the right password alone starts no session. The response is a problem that
// any client can show. A code completes the login.
func TestLoginWithSecondFactor(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, first := newUserWithApp(t, s)
		half := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		if half.Status != http.StatusUnauthorized || half.Code() != "second_factor_required" ||
			!slices.Equal(half.Texts("factors"), []string{"totp", "recovery_code"}) {
			t.Fatalf("login: %d %s", half.Status, half.Raw)
		}
		loginToken := half.Text("loginToken")
		for name, token := range map[string]string{"an access token": loginToken, "nothing": ""} {
			if response := s.Authenticate(t, token); response.Status != http.StatusUnauthorized {
				t.Errorf("half a login as %s: %d", name, response.Status)
			}
		}
		if response := s.TryRefresh(t, loginToken); response.Status != http.StatusUnauthorized {
			t.Errorf("half a login as a refresh token: %d", response.Status)
		}
		if sessions, _ := listSessions(t, s, first.Access); len(sessions) != 1 {
			t.Errorf("%d sessions after half a login", len(sessions))
		}
		wrong := s.CompleteLogin(t, loginToken, app.WrongCode())
		if wrong.Status != http.StatusUnauthorized || wrong.Code() != "invalid_code" {
			t.Errorf("a wrong code: %d %s", wrong.Status, wrong.Raw)
		}
		code := app.Code(t)
		tokens := tokensOf(t, s.CompleteLogin(t, loginToken, code[:3]+" "+code[3:]))
		if claims, _ := factorClaims(t, tokens.Access); claims != "[pwd otp mfa] aal2" {
			t.Errorf("claims: %s", claims)
		}
		next := s.RequireActive(t, tokens)
		if claims, _ := factorClaims(t, next.Access); claims != "[pwd otp mfa] aal2" {
			t.Errorf("claims after a refresh: %s", claims)
		}
		used := s.CompleteLogin(t, loginToken, app.Code(t))
		if used.Status != http.StatusUnauthorized || used.Code() != "invalid_login_token" {
			t.Errorf("the login token again: %d %s", used.Status, used.Raw)
		}
		if wrong := s.Post(t, "/auth/login", "email", email, "password", newPassword); wrong.Code() != "invalid_credentials" {
			t.Errorf("a wrong password: %s", wrong.Raw)
		}
	})
}

// A code works once: again, across two login tokens, in parallel, and on two instances.
func TestCodeWorksOnce(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		instances := []*servertest.Server{s, s.StartAnother(t, engine, servertest.Options{})}
		instances[1].Clock.Stop()
		s.Clock.Stop()
		email, app, _ := newUserWithApp(t, s)
		for _, code := range []string{app.Code(t), app.RecoveryCodes[0]} {
			tokens := make([]string, 50)
			for i := range tokens {
				tokens[i] = s.LoginToken(t, email)
			}
			responses := make([]servertest.Response, len(tokens))
			var all sync.WaitGroup
			for i, token := range tokens {
				all.Go(func() { responses[i] = instances[i%2].CompleteLogin(t, token, code) })
			}
			all.Wait()
			successes := 0
			for _, response := range responses {
				switch {
				case response.Status == http.StatusOK:
					successes++
				case response.Code() != "invalid_code":
					t.Errorf("%d %s", response.Status, response.Raw)
				}
			}
			if successes != 1 {
				t.Errorf("%d of 50 logins with one code succeeded", successes)
			}
			again := s.CompleteLogin(t, s.LoginToken(t, email), code)
			if again.Code() != "invalid_code" {
				t.Errorf("the code again: %d %s", again.Status, again.Raw)
			}
		}
		// 50 parallel uses of one login token, each with a valid code of its own, are one login.
		loginToken := s.LoginToken(t, email)
		var all sync.WaitGroup
		statuses := make([]int, 9)
		for i, code := range app.RecoveryCodes[1:] {
			all.Go(func() { statuses[i] = instances[i%2].CompleteLogin(t, loginToken, code).Status })
		}
		all.Wait()
		slices.Sort(statuses)
		if statuses[0] != http.StatusOK || statuses[1] != http.StatusUnauthorized {
			t.Errorf("one login token: %v", statuses)
		}
	})
}

// The code that confirmed the app, and every older one, does not log in.
func TestConfirmUsesUpTheCode(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		app := s.EnrollApp(t, tokens.Access)
		older, code := app.Code(t), app.Code(t)
		if response := s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp/confirm", "code",
			code); response.Status != 200 {
			t.Fatalf("confirm: %d %s", response.Status, response.Raw)
		}
		for name, code := range map[string]string{"the same code": code, "an older code": older} {
			if response := s.CompleteLogin(t, s.LoginToken(t, email), code); response.Code() != "invalid_code" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		s.LoginWith(t, email, app.Code(t))
	})
}

// A recovery code works once, however it is typed. The email says how many are left. New codes make
// the old ones invalid.
func TestRecoveryCodes(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, tokens := newUserWithApp(t, s)
		if len(app.RecoveryCodes) != 10 || len(app.RecoveryCodes[0]) != 19 {
			t.Fatalf("%q", app.RecoveryCodes)
		}
		typed := strings.ToUpper(strings.ReplaceAll(app.RecoveryCodes[0], "-", " "))
		used := s.LoginWith(t, email, typed)
		if claims, _ := factorClaims(t, used.Access); claims != "[pwd mfa] aal2" {
			t.Errorf("claims: %s", claims)
		}
		if notice := s.RequireEmail(t,
			"A recovery code was used for your Sesame account"); !notice.Says("9 recovery codes left") {
			t.Errorf("the email: %s", notice.Raw)
		}
		if left := s.As(t, used.Access, http.MethodGet, "/auth/factors").Body["recoveryCodesLeft"]; left != 9.0 {
			t.Errorf("%v left", left)
		}
		renewed := s.As(t, s.Refresh(t, tokens.Refresh).Access, http.MethodPost, "/auth/recovery-codes")
		if renewed.Status != http.StatusOK || len(renewed.Texts("recoveryCodes")) != 10 {
			t.Fatalf("renew: %d %s", renewed.Status, renewed.Raw)
		}
		s.RequireEmail(t, "New recovery codes for your Sesame account")
		for _, old := range app.RecoveryCodes {
			if response := s.CompleteLogin(t, s.LoginToken(t, email), old); response.Code() != "invalid_code" {
				t.Errorf("an old recovery code: %d %s", response.Status, response.Raw)
			}
		}
		for i, code := range renewed.Texts("recoveryCodes") {
			s.LoginWith(t, email, code)
			notice := s.RequireEmail(t, "A recovery code was used for your Sesame account")
			want := fmt.Sprintf("%d recovery codes left", 9-i)
			switch i {
			case 8:
				want = "1 recovery code left"
			case 9:
				want = "It was the last one"
			}
			if !notice.Says(want) {
				t.Errorf("the email after %d codes: %s", i+1, notice.Raw)
			}
		}
		half := s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
		if !slices.Equal(half.Texts("factors"), []string{"totp"}) {
			t.Errorf("without recovery codes: %s", half.Raw)
		}
	})
}

// Another user's codes and login tokens are worth nothing.
func TestCodesAreBoundToTheUser(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		victim, _, _ := newUserWithApp(t, s)
		_, app, _ := newUserWithApp(t, s)
		for _, code := range []string{app.Code(t), app.RecoveryCodes[0]} {
			if response := s.CompleteLogin(t, s.LoginToken(t, victim), code); response.Code() != "invalid_code" {
				t.Errorf("the code of another user: %d %s", response.Status, response.Raw)
			}
		}
	})
}

// A login token is valid for five minutes, and until the password, the email or the factor changes.
func TestLoginTokenEnds(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		for name, test := range map[string]struct {
			change func(email string)
			valid  bool
		}{
			"after almost five minutes": {func(string) { s.Clock.Advance(5*time.Minute - time.Second) }, true},
			"after five minutes":        {func(string) { s.Clock.Advance(5 * time.Minute) }, false},
			"a new password": {func(email string) {
				if err := s.Auth.SetPassword(t.Context(), userID(t, s, email), newPassword); err != nil {
					t.Fatal(err)
				}
			}, false},
			"the user is disabled": {func(email string) {
				if _, err := s.Auth.DisableUser(t.Context(), userID(t, s, email)); err != nil {
					t.Fatal(err)
				}
			}, false},
			"the user is deleted": {func(email string) {
				if err := s.Auth.DeleteUser(t.Context(), userID(t, s, email)); err != nil {
					t.Fatal(err)
				}
			}, false},
			"the clock was ahead": {func(string) { s.Clock.Advance(-2 * time.Minute) }, false},
		} {
			email, app, _ := newUserWithApp(t, s)
			token := s.LoginToken(t, email)
			test.change(email)
			response := s.CompleteLogin(t, token, app.RecoveryCodes[0])
			if test.valid && response.Status != 200 || !test.valid && response.Code() != "invalid_login_token" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		email, app, _ := newUserWithApp(t, s)
		token := s.LoginToken(t, email)
		for name, changed := range map[string]string{
			"cut": token[:len(token)-1], "extended": token + "A", "with a line break": token + "\n", "empty": "x",
			"changed": string(token[0]^1) + token[1:],
		} {
			if response := s.CompleteLogin(t, changed, app.RecoveryCodes[0]); response.Code() != "invalid_login_token" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		// Removing the factor makes the login token useless, and the password is enough again.
		tokens := s.LoginWith(t, email, app.RecoveryCodes[1])
		if response := s.As(t, tokens.Access, http.MethodDelete, "/auth/factors/totp"); response.Status != 200 {
			t.Fatalf("remove: %d %s", response.Status, response.Raw)
		}
		if response := s.CompleteLogin(t, token, app.RecoveryCodes[2]); response.Code() != "invalid_code" {
			t.Errorf("after the factor was removed: %d %s", response.Status, response.Raw)
		}
		s.Login(t, email)
	})
}

// Enrolling replaces no active factor, and nothing changes before the confirmation.
func TestEnrollment(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		confirm := func(code string) servertest.Response {
			t.Helper()
			return s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp/confirm", "code", code)
		}
		if response := confirm("000000"); response.Status != http.StatusNotFound {
			t.Errorf("confirm without a secret: %d %s", response.Status, response.Raw)
		}
		replaced := s.EnrollApp(t, tokens.Access)
		tokens = s.Login(t, email) // not confirmed: the password is enough
		app := s.EnrollApp(t, tokens.Access)
		if response := confirm(replaced.Code(t)); response.Status != http.StatusForbidden ||
			response.Code() != "invalid_code" {
			t.Errorf("a code of the replaced secret: %d %s", response.Status, response.Raw)
		}
		if response := confirm(app.WrongCode()); response.Status != http.StatusForbidden ||
			response.Code() != "invalid_code" {
			t.Errorf("a wrong code: %d %s", response.Status, response.Raw)
		}
		if list := s.As(t, tokens.Access, http.MethodGet,
			"/auth/factors"); list.Raw != `{"factors":[],"recoveryCodesLeft":0}`+"\n" {
			t.Errorf("factors before: %s", list.Raw)
		}
		if response := confirm(app.Code(t)); response.Status != http.StatusOK {
			t.Fatalf("confirm: %d %s", response.Status, response.Raw)
		}
		tokens = s.Refresh(t, tokens.Refresh)
		if claims, _ := factorClaims(t, tokens.Access); claims != "[pwd otp mfa] aal2" {
			t.Errorf("the session that confirmed: %s", claims)
		}
		for name, response := range map[string]servertest.Response{
			"enroll again":  s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp"),
			"confirm again": confirm(app.Code(t)),
		} {
			if response.Status != http.StatusConflict || response.Code() != "factor_exists" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
		}
		list := s.As(t, tokens.Access, http.MethodGet, "/auth/factors")
		factors, _ := list.Body["factors"].([]any)
		if len(factors) != 1 || list.Body["recoveryCodesLeft"] != 10.0 {
			t.Errorf("factors: %s", list.Raw)
		}
		s.LoginWith(t, email, app.Code(t))
	})
}

// Two concurrent confirmations are one.
func TestConfirmationsInParallel(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		app := s.EnrollApp(t, tokens.Access)
		codes := []string{app.Code(t), app.Code(t), app.Code(t)}
		statuses := make([]int, len(codes))
		var all sync.WaitGroup
		for i, code := range codes {
			all.Go(func() {
				statuses[i] = s.As(t, tokens.Access, http.MethodPost, "/auth/factors/totp/confirm", "code", code).Status
			})
		}
		all.Wait()
		// A later one finds the factor, and that its access token has not proved it, or it loses the
		// race.
		slices.Sort(statuses)
		if statuses[0] != http.StatusOK || statuses[1] != 401 && statuses[1] != 409 || statuses[2] != 401 &&
			statuses[2] != 409 {
			t.Errorf("%v", statuses)
		}
	})
}

// Removing the app lowers acr in live sessions, removes the recovery codes, and sends an email.
func TestRemoveApp(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, first := newUserWithApp(t, s)
		other, recovered := s.LoginWith(t, email, app.Code(t)), s.LoginWith(t, email, app.RecoveryCodes[0])
		s.RequireEmail(t, "A recovery code was used for your Sesame account")
		if response := s.As(t, other.Access, http.MethodDelete, "/auth/factors/totp"); response.Status != http.StatusOK {
			t.Fatalf("remove: %d %s", response.Status, response.Raw)
		}
		s.RequireEmail(t, "Two-step login is off for your Sesame account")
		if list := s.As(t, other.Access, http.MethodGet,
			"/auth/factors"); list.Raw != `{"factors":[],"recoveryCodesLeft":0}`+"\n" {
			t.Errorf("factors: %s", list.Raw)
		}
		for name, tokens := range map[string]servertest.Tokens{"first": first, "other": other, "recovered": recovered} {
			if claims, _ := factorClaims(t, s.Refresh(t, tokens.Refresh).Access); claims != "[pwd] aal1" {
				t.Errorf("the %s session: %s", name, claims)
			}
		}
		if response := s.As(t, other.Access, http.MethodDelete,
			"/auth/factors/totp"); response.Status != http.StatusNotFound {
			t.Errorf("remove again: %d %s", response.Status, response.Raw)
		}
		if response := s.As(t, other.Access, http.MethodPost,
			"/auth/recovery-codes"); response.Status != http.StatusNotFound {
			t.Errorf("recovery codes without a factor: %d %s", response.Status, response.Raw)
		}
		again := s.AddApp(t, s.Login(t, email).Access)
		if response := s.CompleteLogin(t, s.LoginToken(t, email), app.RecoveryCodes[1]); response.Code() != "invalid_code" {
			t.Errorf("a recovery code of the removed app: %d %s", response.Status, response.Raw)
		}
		s.LoginWith(t, email, again.RecoveryCodes[0])
	})
}

// The QR code names the service and the account, and the secret is what the server checks.
func TestEnrollmentURI(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		enrolled := s.As(t, s.Login(t, email).Access, http.MethodPost, "/auth/factors/totp")
		secret, err := totp.ParseSecret(enrolled.Text("secret"))
		if err != nil || enrolled.Text("uri") != secret.URI("Sesame", email) {
			t.Errorf("%v %s", err, enrolled.Raw)
		}
	})
}

// The metrics count uses of factors by outcome.
func TestFactorMetrics(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email, app, first := newUserWithApp(t, s)
		s.CompleteLogin(t, s.LoginToken(t, email), app.WrongCode())
		s.LoginWith(t, email, app.Code(t))
		s.LoginWith(t, email, app.RecoveryCodes[0])
		device := s.AddPasskey(t, s.Refresh(t, first.Refresh).Access)
		s.LoginWithPasskey(t, device)
		s.PasskeyLogin(t, servertest.UnknownAssertion(t))
		for series, want := range map[string]float64{
			`sesame_factors_total{factor="totp",outcome="success"}`:                            1,
			`sesame_factors_total{factor="totp",outcome="refused"}`:                            1,
			`sesame_factors_total{factor="recovery_code",outcome="success"}`:                   1,
			`sesame_factors_total{factor="passkey",outcome="success"}`:                         1,
			`sesame_factors_total{factor="passkey",outcome="refused"}`:                         1,
			`sesame_outcomes_total{operation="login",outcome="second-factor-required"}`:        3,
			`sesame_outcomes_total{operation="complete-login",outcome="success"}`:              2,
			`sesame_outcomes_total{operation="finish-passkey-registration",outcome="success"}`: 1,
		} {
			if got, _ := s.Metric(t, series); got != want {
				t.Errorf("%s is %v, want %v", series, got, want)
			}
		}
	})
}
