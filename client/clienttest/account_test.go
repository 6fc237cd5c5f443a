package clienttest

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/client"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

const newPassword = "an even better horse"

func newClient(t *testing.T, server *servertest.Server, store client.Store) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: server.URL, Store: store, Transport: server.Client.Transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A user registers, verifies and changes the email, undoes the change, and deletes the account.
func TestAccountLife(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const old, changed = "ada@example.com", "ada.king@example.com"
		server := servertest.Start(t, engine, servertest.Options{EmailVerification: auth.VerificationRequired})
		store := &client.MemoryStore{}
		c, ctx := newClient(t, server, store), t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.Register(ctx, client.RegisterInput{
			Name: "Ada", Email: old, Password: servertest.Password, Confirm: servertest.Password,
		})
		must(err)
		isProblem(t, c.Login(ctx, old, servertest.Password), http.StatusForbidden, "email_not_verified")
		server.NextLinkToken(t, old, "verify-email")
		must(c.SendVerificationEmail(ctx, old))
		token := server.NextLinkToken(t, old, "verify-email")
		link, err := c.CheckEmailLink(ctx, token)
		if err != nil || link.Purpose != "verify-email" || !link.ExpiresAt.After(time.Now()) {
			t.Errorf("CheckEmailLink: %+v, %v", link, err)
		}
		isProblem(t, c.VerifyEmail(ctx, token, "wrong"), http.StatusForbidden, "incorrect_password")
		must(c.VerifyEmail(ctx, token, servertest.Password))
		isProblem(t, c.VerifyEmail(ctx, token, servertest.Password), http.StatusUnauthorized, "invalid_link")
		must(c.Login(ctx, old, servertest.Password))

		account, err := c.UpdateAccount(ctx, client.AccountChange{Name: new("Ada King"), Bio: new("Wrote it")})
		if err != nil || account.Name != "Ada King" || *account.Bio != "Wrote it" || !account.EmailVerified {
			t.Errorf("UpdateAccount: %+v, %v", account, err)
		}
		if account, err = c.UpdateAccount(ctx, client.AccountChange{}); err != nil || account.Bio == nil {
			t.Errorf("an empty change: %+v, %v", account, err)
		}
		if account, err = c.UpdateAccount(ctx, client.AccountChange{RemoveBio: true}); err != nil || account.Bio != nil {
			t.Errorf("without a bio: %+v, %v", account, err)
		}

		other := newClient(t, server, nil)
		must(other.Login(ctx, old, servertest.Password))
		must(c.ChangePassword(ctx, servertest.Password, newPassword))
		_, err = other.Account(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")

		must(c.ChangeEmail(ctx, "ada.typo@example.com", newPassword))
		must(c.CancelEmailChange(ctx))
		must(c.ChangeEmail(ctx, changed, newPassword))
		if account, err = c.Account(ctx); err != nil || account.Email != old || *account.PendingEmail != changed {
			t.Errorf("while a change is pending: %+v, %v", account, err)
		}
		token = server.NextLinkToken(t, changed, "confirm-email-change")
		must(c.ConfirmEmailChange(ctx, token, newPassword))
		if account, err = c.Account(ctx); err != nil || account.Email != changed || account.PendingEmail != nil {
			t.Errorf("after the change: %+v, %v", account, err)
		}
		must(c.UndoEmailChange(ctx, server.NextLinkToken(t, old, "undo-email-change")))
		_, err = c.Account(ctx)
		isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		must(c.ResetPassword(ctx, server.NextResetToken(t, old), servertest.Password))
		must(c.Login(ctx, old, servertest.Password))

		export, err := c.ExportAccount(ctx)
		if err != nil || export.Account.Email != old || len(export.Sessions) == 0 || len(export.Events) == 0 ||
			export.LastLoginAt == nil {
			t.Errorf("ExportAccount: %+v, %v", export, err)
		}
		isProblem(t, c.DeleteAccount(ctx, "wrong"), http.StatusForbidden, "incorrect_password")
		must(c.DeleteAccount(ctx, servertest.Password))
		if tokens, _ := store.Load(ctx); tokens != (client.Tokens{}) {
			t.Error("the tokens are still stored after the account was deleted")
		}
		isProblem(t, c.Login(ctx, old, servertest.Password), http.StatusUnauthorized, "invalid_credentials")
	})
}

// A user ends one session, the others, this one, and all.
func TestSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		other := newClient(t, s.server, nil)
		relogin := func() {
			t.Helper()
			if err := other.Login(ctx, s.email, servertest.Password); err != nil {
				t.Fatal(err)
			}
		}
		// find returns the session that is the current one, or is not.
		find := func(current bool) string {
			t.Helper()
			sessions, err := s.Sessions(ctx)
			i := slices.IndexFunc(sessions, func(s client.Session) bool { return s.Current == current })
			if err != nil || len(sessions) != 2 || i < 0 || sessions[i].ExpiresAt.IsZero() || sessions[i].IP == "" {
				t.Fatalf("Sessions: %+v, %v", sessions, err)
			}
			return sessions[i].ID
		}
		ended := func(c *client.Client) {
			t.Helper()
			_, err := c.Account(ctx)
			isProblem(t, err, http.StatusUnauthorized, "invalid_access_token")
		}
		relogin()
		if err := s.RevokeSession(ctx, find(false)); err != nil || s.tokens(t) == (client.Tokens{}) {
			t.Fatalf("another session: %v, %v", err, s.tokens(t))
		}
		ended(other)
		isProblem(t, s.RevokeSession(ctx, "unknown"), http.StatusNotFound, "not_found")
		relogin()
		if err := s.LogoutEverywhere(ctx, true); err != nil {
			t.Fatal(err)
		}
		ended(other)
		relogin()
		if err := s.RevokeSession(ctx, find(true)); err != nil || s.tokens(t) != (client.Tokens{}) {
			t.Errorf("this session: %v, left: %v", err, s.tokens(t))
		}
		if err := s.Login(ctx, s.email, servertest.Password); err != nil {
			t.Fatal(err)
		}
		s.expire()
		if err := s.LogoutEverywhere(ctx, false); err != nil || s.tokens(t) != (client.Tokens{}) {
			t.Errorf("all sessions: %v, left: %v", err, s.tokens(t))
		}
		ended(other)
	})
}

// While the password changes, 20 goroutines send requests with two clients of one store, and the
// tokens expire. Nobody is logged out, although a refresh token that was used before is never accepted.
func TestChangePasswordDuringRequests(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := loginTo(t, servertest.Start(t, engine, servertest.Options{RefreshGrace: -1}))
		clients := []*client.Client{s.Client, s.another(t)}
		current, next := servertest.Password, newPassword
		for range 3 {
			s.expire()
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					for range 3 {
						if _, err := clients[i%2].Authenticate(t.Context()); err != nil {
							t.Error(err)
						}
					}
				})
			}
			if err := s.ChangePassword(t.Context(), current, next); err != nil {
				t.Error(err)
			}
			wg.Wait()
			current, next = next, current
		}
		if _, err := s.Account(t.Context()); err != nil || s.tokens(t) == (client.Tokens{}) {
			t.Errorf("logged out: %v", err)
		}
	})
}

// A wrong password is no reason to refresh. An access token that is not accepted is: the refresh
// comes first, and its tokens are stored although the operation then fails.
func TestIncorrectPasswordDoesNotRefresh(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s, ctx := login(t, engine), t.Context()
		operations := map[string]func() error{
			"/auth/change-password": func() error { return s.ChangePassword(ctx, "wrong", newPassword) },
			"/auth/change-email":    func() error { return s.ChangeEmail(ctx, "new@example.com", "wrong") },
			"/auth/delete-account":  func() error { return s.DeleteAccount(ctx, "wrong") },
		}
		for path, operation := range operations {
			isProblem(t, operation(), http.StatusForbidden, "incorrect_password")
			if s.wire.refreshes() != 0 || s.wire.sent[path] != 1 {
				t.Errorf("%s: %d requests and %d refreshes", path, s.wire.sent[path], s.wire.refreshes())
			}
		}
		refreshes := 0
		for path, operation := range operations {
			s.expire()
			refreshes++
			isProblem(t, operation(), http.StatusForbidden, "incorrect_password")
			if s.wire.refreshes() != refreshes || s.wire.sent[path] != 3 {
				t.Errorf("%s, expired: %d requests and %d refreshes", path, s.wire.sent[path], s.wire.refreshes())
			}
			if _, err := s.Account(ctx); err != nil || s.wire.refreshes() != refreshes {
				t.Errorf("%s: the new tokens are not stored: %v", path, err)
			}
		}
	})
}

// If the response to a change of the password is lost, the session continues, also after the grace
// period.
func TestLostResponseOfChangePassword(t *testing.T) {
	for name, respond := range map[string]func(*http.Request, *http.Response) (*http.Response, error){
		"no response": func(_ *http.Request, response *http.Response) (*http.Response, error) {
			return nil, errors.Join(io.ErrUnexpectedEOF, response.Body.Close())
		},
		"502 of a proxy": func(r *http.Request, response *http.Response) (*http.Response, error) {
			gateway := &http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody, Request: r}
			return gateway, response.Body.Close()
		},
		"internal error": func(r *http.Request, response *http.Response) (*http.Response, error) {
			return problem(r, http.StatusInternalServerError, "internal_error", ""), response.Body.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
				s := login(t, engine)
				s.wire.interceptPath("/auth/change-password", func(r *http.Request) (*http.Response, error) {
					response, err := s.wire.base.RoundTrip(r)
					if err != nil {
						return nil, err
					}
					return respond(r, response)
				})
				if err := s.ChangePassword(t.Context(), servertest.Password, newPassword); err == nil {
					t.Error("the lost response is not reported")
				}
				s.wire.interceptPath("", nil)
				s.server.Clock.Advance(20 * time.Minute) // the grace period is over, and the access token has expired
				if _, err := s.Authenticate(t.Context()); err != nil {
					t.Errorf("the session has ended: %v", err)
				}
				if err := s.ChangePassword(t.Context(), newPassword, servertest.Password); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
