package httpapi_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

const newPassword = "an even better horse"

// tokensOf returns the tokens in a response, which must be a success.
func tokensOf(t *testing.T, response servertest.Response) servertest.Tokens {
	t.Helper()
	if response.Status != http.StatusOK {
		t.Fatalf("no tokens: %d %s", response.Status, response.Raw)
	}
	return servertest.Tokens{Access: response.Text("accessToken"), Refresh: response.Text("refreshToken")}
}

// Changing the password continues this session, whose previous refresh token has its grace period,
// and ends all others. The old password is dead.
func TestChangePassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		other, this := s.Login(t, email), s.Login(t, email)
		next := tokensOf(t, s.ChangePassword(t, this.Access, newPassword))
		s.RequireEnded(t, other)
		if response := s.Authenticate(t, this.Access); response.Status != http.StatusOK {
			t.Errorf("the previous access token: %d %s", response.Status, response.Raw)
		}
		if again := s.Refresh(t, this.Refresh); again.Refresh != next.Refresh {
			t.Error("the previous refresh token does not return the same successor")
		}
		next = s.RequireActive(t, next)
		if response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password); response.Status != 401 {
			t.Errorf("the old password: %d", response.Status)
		}
		if email := s.NextEmail(t); email.Subject != "Your Sesame password was changed" {
			t.Errorf("the notice: %s", email.Subject)
		}
		// A client that lost the response tries again. Its session lives.
		if response := s.ChangePassword(t, next.Access, newPassword); response.Status != 403 {
			t.Errorf("the old password again: %d %s", response.Status, response.Raw)
		}
		next = s.RequireActive(t, next)
		// The token before the previous one is reuse, as after a refresh.
		if response := s.TryRefresh(t, this.Refresh); response.Status != 401 {
			t.Errorf("an older refresh token: %d", response.Status)
		}
		s.RequireEnded(t, next)
	})
}

// A refresh in a second tab that runs at the same time does not end the session.
func TestChangePasswordRacesRefresh(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens, passwords := s.Login(t, email), [2]string{servertest.Password, newPassword}
		for i := range racedResets {
			var refreshed, changed servertest.Response
			var both sync.WaitGroup
			both.Go(func() { refreshed = s.TryRefresh(t, tokens.Refresh) })
			both.Go(func() {
				changed = s.As(t, tokens.Access, http.MethodPost, "/auth/change-password",
					"currentPassword", passwords[i%2], "password", passwords[(i+1)%2])
			})
			both.Wait()
			first, second := tokensOf(t, refreshed), tokensOf(t, changed)
			for _, one := range []servertest.Tokens{first, second} {
				if response := s.Authenticate(t, one.Access); response.Status != http.StatusOK {
					t.Fatalf("round %d: an access token is refused: %s", i, response.Raw)
				}
			}
			// Both tokens are the current one, or the refresh came first and its token is the previous one.
			latest := s.Refresh(t, first.Refresh)
			if first.Refresh != second.Refresh && latest.Refresh != second.Refresh {
				t.Fatalf("round %d: there are two current refresh tokens", i)
			}
			tokens = s.RequireActive(t, servertest.Tokens{Access: second.Access, Refresh: second.Refresh})
		}
	})
}

// No session survives a change of the password in another one, also not one that a login with the
// old password creates meanwhile, or a session that is being refreshed. Logging out wins.
func TestChangePasswordEndsSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for i := range racedResets {
			email := s.NewUser(t)
			this, other := s.Login(t, email), s.Login(t, email)
			attempt := func() servertest.Response {
				return s.Post(t, "/auth/login", "email", email, "password", servertest.Password)
			}
			if i%2 == 0 {
				attempt = func() servertest.Response { return s.TryRefresh(t, other.Refresh) }
			}
			var changed servertest.Response
			gained, granted := race(t, attempt, func() servertest.Response {
				changed = s.ChangePassword(t, this.Access, newPassword)
				return changed
			})
			s.RequireEnded(t, other)
			if granted {
				s.RequireEnded(t, gained)
			}
			s.RequireActive(t, tokensOf(t, changed))
		}
		for range racedResets {
			this := s.Login(t, s.NewUser(t))
			changed, granted := race(t,
				func() servertest.Response { return s.ChangePassword(t, this.Access, newPassword) },
				func() servertest.Response { return s.Logout(t, this.Refresh) })
			s.RequireEnded(t, this)
			if granted {
				s.RequireEnded(t, changed)
			}
		}
	})
}

// A password that was reset, or sessions that were ended, while the current password is checked are
// not affected by the change: it is refused with the status of an ended session.
func TestChangePasswordRacesReset(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for range racedResets {
			email := s.NewUser(t)
			this := s.Login(t, email)
			s.ForgotPassword(t, email)
			resetToken := s.NextResetToken(t, email)
			// A change that comes first makes the token invalid, so the reset may fail.
			var changed, reset servertest.Response
			var both sync.WaitGroup
			both.Go(func() { changed = s.ChangePassword(t, this.Access, newPassword) })
			both.Go(func() { reset = s.ResetPassword(t, resetToken, "the password of the reset") })
			both.Wait()
			switch {
			case reset.Status == http.StatusOK:
				s.RequireEnded(t, this)
				if changed.Status == http.StatusOK {
					s.RequireEnded(t, tokensOf(t, changed))
				}
			case changed.Status == http.StatusOK:
				s.RequireActive(t, tokensOf(t, changed))
			default:
				t.Errorf("both failed: %s %s", changed.Raw, reset.Raw)
			}
		}
	})
}

// passwordOperations ask for the password of a user with an access token.
var passwordOperations = map[string][]any{
	"/auth/change-password": {"currentPassword", wrong, "password", newPassword},
	"/auth/change-email":    {"email", "next@example.com", "password", wrong},
	"/auth/delete-account":  {"password", wrong},
}

// A wrong password next to an access token is 403: many clients refresh on 401 and try again, and
// would do so forever.
func TestWrongPasswordIsNot401(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		for path, members := range passwordOperations {
			attempts := 0
			send := func() servertest.Response { // as an interceptor does that refreshes on 401
				for {
					attempts++
					response := s.As(t, tokens.Access, http.MethodPost, path, members...)
					if response.Status != http.StatusUnauthorized || attempts > 5 {
						return response
					}
					tokens = s.Refresh(t, tokens.Refresh)
				}
			}
			response := send()
			if attempts != 1 || response.Status != http.StatusForbidden || response.Code() != "incorrect_password" ||
				response.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s: %d attempts, %d %s", path, attempts, response.Status, response.Raw)
			}
		}
		tokens = s.RequireActive(t, tokens)
		for path, members := range passwordOperations {
			missing := members[2:]
			if path == "/auth/change-email" {
				missing = members[:2]
			}
			response := s.As(t, tokens.Access, http.MethodPost, path, append([]any{"other", 1}, missing...)...)
			if response.Status != http.StatusBadRequest || response.Code() != "validation_failed" {
				t.Errorf("%s without the password: %d %s", path, response.Status, response.Raw)
			}
		}
	})
}

// Wrong passwords at any operation share the budget of logins.
func TestPasswordOperationsShareTheLimit(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for path, members := range passwordOperations {
			s := limited(t, engine)
			email := s.NewUser(t)
			tokens := s.Login(t, email)
			for range 10 {
				if response := s.As(t, tokens.Access, http.MethodPost, path, members...); response.Status != 403 {
					t.Fatalf("%s: %d %s", path, response.Status, response.Raw)
				}
			}
			for other, members := range passwordOperations {
				if response := s.As(t, tokens.Access, http.MethodPost, other, members...); response.Status != 429 ||
					response.Header.Get("Retry-After") == "" {
					t.Errorf("%s after %s: %d %s", other, path, response.Status, response.Raw)
				}
			}
			if response := s.Post(t, "/auth/login", "email", email, "password", servertest.Password); response.Status != 429 {
				t.Errorf("a login after %s: %d", path, response.Status)
			}
			s.RequireActive(t, tokens)
		}
	})
}

// The password can be changed ten times a day: each change sends an email. A right password does
// not use up the budget of wrong ones.
func TestLimitOfPasswordChanges(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limited(t, engine)
		tokens := s.Login(t, s.NewUser(t))
		passwords := [2]string{servertest.Password, newPassword}
		change := func(i int) servertest.Response {
			return s.As(t, tokens.Access, http.MethodPost, "/auth/change-password",
				"currentPassword", passwords[i%2], "password", passwords[(i+1)%2])
		}
		for i := range 10 {
			tokens = tokensOf(t, change(i))
		}
		if response := change(10); response.Status != 429 {
			t.Errorf("the 11th change: %d %s", response.Status, response.Raw)
		}
		s.RequireActive(t, tokens)
	})
}

// A weak new password is refused before the current one is checked, and changes nothing.
func TestChangeToWeakPassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{MinLength: 12})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		for password, code := range map[string]string{
			"elevenchars": "validation_failed", "password12345": "weak_password",
		} {
			if response := s.ChangePassword(t, tokens.Access, password); response.Status != 400 || response.Code() != code {
				t.Errorf("%q: %d %s", password, response.Status, response.Raw)
			}
		}
		s.RequireActive(t, tokens)
		s.Login(t, email)
	})
}
