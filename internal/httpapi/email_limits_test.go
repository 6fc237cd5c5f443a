package httpapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// limitedEmails is like limited, with links to verify an email.
func limitedEmails(t *testing.T, engine databasetest.Engine) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, engine, servertest.Options{
		EmailVerification: auth.VerificationOptional, Throttle: true, BehindProxy: true,
	})
	s.Clock.Stop()
	return s
}

// An access token or a link is no way around the limits of guessing: wrong passwords with them count
// like those of logins, and the other way round.
func TestPasswordsShareABudget(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limitedEmails(t, engine)
		type try func(client, password string) servertest.Response
		// Each returns an operation of a new user, and the user's email.
		operations := map[string]func() (string, try){
			"verify-email": func() (string, try) {
				email := s.NewUser(t)
				token := s.Token(t, s.Inbox(t), email, "verify-email")
				return email, func(client, password string) servertest.Response {
					return servertest.Call{Path: "/auth/verify-email", IP: client}.
						Send(t, s, "token", token, "password", password)
				}
			},
			"confirm-email-change": func() (string, try) {
				email := s.NewUser(t)
				expectStatus(t, s.ChangeEmail(t, s.Login(t, email).Access, "next-"+email), 202)
				token := s.Token(t, s.Inbox(t), "next-"+email, "confirm-email-change")
				return email, func(client, password string) servertest.Response {
					return servertest.Call{Path: "/auth/confirm-email-change", IP: client}.
						Send(t, s, "token", token, "password", password)
				}
			},
		}
		for path, member := range map[string]string{
			"change-email": "password", "delete-account": "password", "change-password": "currentPassword",
		} {
			operations[path] = func() (string, try) {
				email := s.NewUser(t)
				access := s.Login(t, email).Access
				return email, func(client, password string) servertest.Response {
					members := []any{member, password}
					switch path {
					case "change-email":
						members = append(members, "email", "next-"+email)
					case "change-password":
						members = append(members, "password", "another good password")
					}
					return servertest.Call{Path: "/auth/" + path, AccessToken: access, IP: client}.Send(t, s, members...)
				}
			}
		}
		network := 0
		for name, operation := range operations {
			for _, known := range []bool{false, true} {
				email, try := operation()
				network++
				client, other := fmt.Sprintf("192.0.%d.1", network), fmt.Sprintf("198.51.%d.1", network)
				if known {
					expectStatus(t, loginFrom(t, s, client, email, servertest.Password), 200)
				}
				for range 10 {
					expectCode(t, try(client, wrong), 403, "incorrect_password")
				}
				expectThrottled(t, try(client, servertest.Password), "90")
				expectThrottled(t, loginFrom(t, s, client, email, servertest.Password), "90")
				for range 10 {
					expectStatus(t, loginFrom(t, s, other, email, wrong), 401)
				}
				expectThrottled(t, try(other, servertest.Password), "90")
				third := fmt.Sprintf("203.0.%d.1", network)
				for range 9 {
					expectStatus(t, try(third, wrong), 403)
				}
				if done := try(third, servertest.Password); done.Status >= 300 {
					t.Errorf("%s with the right password: %d %s", name, done.Status, done.Raw)
				}
			}
		}
	})
}

// A user can request five changes of the email a day, also to different emails. Further ones do not
// use up the attempts to log in.
func TestLimitOfEmailChanges(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limitedEmails(t, engine)
		email := s.NewUser(t)
		session := s.Login(t, email)
		const client = "192.0.2.1"
		change := func(i int) servertest.Response {
			return servertest.Call{Path: "/auth/change-email", AccessToken: session.Access, IP: client}.
				Send(t, s, "email", fmt.Sprintf("next%d@example.com", i), "password", servertest.Password)
		}
		s.Inbox(t)
		for i := range 5 {
			expectStatus(t, change(i), 202)
		}
		for i := range 20 {
			expectThrottled(t, change(5+i), "17280")
		}
		expectStatus(t, loginFrom(t, s, client, email, servertest.Password), 200)
		inbox := s.Inbox(t)
		if notices := inbox.Subjects(email); len(notices) != 5 || len(inbox) > 10 {
			t.Errorf("emails: %d, notices %q", len(inbox), notices)
		}
		s.Clock.Advance(17280 * time.Second)
		session = s.Refresh(t, session.Refresh)
		expectStatus(t, change(5), 202)
		expectStatus(t, change(6), 429)
	})
}

// A mailbox gets one link to confirm a change in a minute, three a day from one network, and five from
// all, whichever accounts request them. It makes no difference whether the mailbox has an account.
func TestLimitOfEmailChangesToAMailbox(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limitedEmails(t, engine)
		for i, target := range []string{s.NewUser(t), "nobody@example.com"} {
			s.Inbox(t)
			change := func(network int, wantStatus int) {
				t.Helper()
				email := s.NewUser(t)
				access := s.Login(t, email).Access
				tagged := strings.Replace(target, "@", fmt.Sprintf("+%d@", network), 1)
				for j, to := range []string{target, tagged} { // a tag is no other mailbox
					if j > 0 {
						wantStatus = 429
					}
					client := fmt.Sprintf("192.%d.%d.1", i, network)
					response := servertest.Call{Path: "/auth/change-email", AccessToken: access, IP: client}.
						Send(t, s, "email", to, "password", servertest.Password)
					expectStatus(t, response, wantStatus)
					if response.Status == 429 && response.Header.Get("Retry-After") == "" {
						t.Error("no Retry-After")
					}
				}
				s.WaitForOutbox(t)
				s.Clock.Advance(time.Minute)
			}
			for range 3 {
				change(1, 202)
			}
			change(1, 429)
			change(2, 202)
			change(3, 202)
			change(4, 429)
			if got := len(s.Inbox(t).Subjects(target)); got != 5 {
				t.Errorf("%d emails to %s", got, target)
			}
		}
	})
}

// Links to verify an email are limited like reset links: a mailbox gets one a minute and five a day, of
// these three because of one network, and a network makes ten requests an hour. The budgets are their
// own: a stranger who spends them does not keep the owner from resetting the password.
func TestLimitOfVerificationEmails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := limitedEmails(t, engine)
		email := s.NewUser(t) // which sends the first link
		s.Inbox(t)
		s.Clock.Advance(time.Minute)
		send := func(client, email string) servertest.Response {
			return servertest.Call{Path: "/auth/send-verification-email", IP: client}.Send(t, s, "email", email)
		}
		minutely := func(clients ...string) int {
			t.Helper()
			for _, client := range clients {
				expectStatus(t, send(client, email), 202)
				s.WaitForOutbox(t)
				s.Clock.Advance(time.Minute)
			}
			return len(s.Inbox(t))
		}
		const stranger = "192.0.2.1"
		for range 3 {
			expectStatus(t, send("192.0.3.1", email), 202)
		}
		if got := len(s.Inbox(t)); got != 1 {
			t.Errorf("3 requests in a minute send %d emails", got)
		}
		s.Clock.Advance(time.Minute)
		if got := minutely(slices.Repeat([]string{stranger}, 5)...); got != 3 {
			t.Errorf("5 requests of a stranger send %d emails", got)
		}
		if got := minutely("192.0.4.1", "192.0.5.1"); got != 0 {
			t.Errorf("2 requests of other strangers send %d emails", got)
		}
		const another = "192.0.6.1"
		for range 10 {
			expectStatus(t, send(another, "nobody@example.com"), 202)
		}
		expectThrottled(t, send(another, "nobody@example.com"), "360")
		expectStatus(t, forgotFrom(t, s, another, email), 202)
		expectSubjects(t, s.Inbox(t), email, "Reset your Sesame password")
	})
}

// With the setting, a login from a network that is not known sends an email. The first login sends
// none, and neither does one from a known network, nor a wrong password.
func TestNewLoginEmails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const home, elsewhere = "192.0.2.1", "198.51.100.1"
		for _, on := range []bool{true, false} {
			s := servertest.Start(t, engine, servertest.Options{NewLoginEmails: on, Throttle: true, BehindProxy: true})
			s.Clock.Stop()
			email := s.NewUser(t)
			login := func(client, password string, want ...string) {
				t.Helper()
				loginFrom(t, s, client, email, password)
				if !on {
					want = nil
				}
				expectSubjects(t, s.Inbox(t), email, want...)
			}
			const newLogin = "New login to your Sesame account"
			login(home, servertest.Password)
			login(home, servertest.Password)
			login(elsewhere, wrong)
			login(elsewhere, servertest.Password, newLogin)
			login(elsewhere, servertest.Password)
			login(home, servertest.Password)
			for i := range 6 { // a thief who changes networks cannot fill the mailbox
				want := []string{newLogin}
				if i >= 4 {
					want = nil
				}
				login(fmt.Sprintf("203.0.%d.1", i), servertest.Password, want...)
			}
		}
	})
}
