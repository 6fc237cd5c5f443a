package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// user reads the user with this email from the database.
func user(t *testing.T, server *processtest.Server, email string) *auth.User {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var user auth.User
	err = db.WithContext(t.Context()).Where("email = ?", email).Take(&user).Error
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatalf("%s: %v", email, err)
	}
	return &user
}

// tryLogin sends a login and returns the response.
func tryLogin(t *testing.T, server *processtest.Server, email, password string) (int, map[string]string) {
	t.Helper()
	return server.Post(t, "/auth/login", `{"email":"`+email+`","password":"`+password+`"}`)
}

// expectLoggedOut fails the test if the server accepts a token of the session.
func expectLoggedOut(t *testing.T, server *processtest.Server, when string, tokens map[string]string) {
	t.Helper()
	if status := server.Authenticate(t, tokens["accessToken"]); status != http.StatusUnauthorized {
		t.Errorf("%s: access token: %d", when, status)
	}
	status, _ := server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
	if status != http.StatusUnauthorized {
		t.Errorf("%s: refresh token: %d", when, status)
	}
}

const horse, better = "correct horse battery", "an even better horse"

// The commands take effect on a running server with the next request.
func TestUsersOfARunningServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const email = "ada@example.com"
		server := processtest.New(t, engine)
		server.Start(t)
		login := func(password string) map[string]string {
			t.Helper()
			status, tokens := tryLogin(t, server, email, password)
			if status != http.StatusOK {
				t.Fatalf("login: %d %v", status, tokens)
			}
			return tokens
		}
		refuse := func(when, password string) {
			t.Helper()
			if status, _ := tryLogin(t, server, email, password); status != http.StatusUnauthorized {
				t.Errorf("%s: login: %d", when, status)
			}
		}
		users := func(want string, args ...string) {
			t.Helper()
			if stdout := server.MustRun(t, "", append([]string{"users"}, args...)...); stdout != want {
				t.Errorf("users %q printed %q, want %q", args, stdout, want)
			}
		}

		id := server.MustRun(t, horse+"\n", "users", "create", "--email", "Ada@Example.com",
			"--name", "Ada", "--bio", "Wrote", "--password-stdin")
		tokens, other := login(horse), login(horse)
		if user := user(t, server, email); user.ID.String() != id || user.Name != "Ada" || *user.Bio != "Wrote" {
			t.Errorf("created %+v, printed %s", user, id)
		}

		users(email+" is disabled and logged out everywhere.", "disable", email)
		users(email+" was already disabled.", "disable", id)
		expectLoggedOut(t, server, "disabled", tokens)
		refuse("disabled", horse)
		status, stdout, stderr := server.Run(t, "", "users", "reset-link", email)
		if status != 1 || stdout != "" || !strings.Contains(stderr, "the user is disabled") {
			t.Errorf("reset-link for a disabled user: %d %s%s", status, stdout, stderr)
		}
		users(email+" is enabled and can log in.", "enable", email)
		users(email+" was already enabled.", "enable", strings.ToUpper(email))
		expectLoggedOut(t, server, "enabled again", tokens)
		expectLoggedOut(t, server, "enabled again", other)

		tokens = login(horse)
		link := server.MustRun(t, "", "users", "reset-link", email)
		server.MustRun(t, better+"\r\n", "users", "set-password", email, "--password-stdin")
		expectLoggedOut(t, server, "new password", tokens)
		refuse("new password", horse)
		expectReset(t, server, link, horse, http.StatusUnauthorized)
		processtest.Eventually(t, "the user gets an email", func() bool { return len(server.SentEmails(t)) == 1 })
		if message := server.MustShell(t, "cat sesame-data/mail/*.eml"); !strings.Contains(message, "password was changed") {
			t.Errorf("email:\n%s", message)
		}

		tokens, other = login(better), login(better)
		users(email+" is logged out everywhere. Sessions ended: 2.", "revoke-sessions", id)
		expectLoggedOut(t, server, "revoked", tokens)
		expectLoggedOut(t, server, "revoked", other)
		tokens = login(better)
		users("All users are logged out. Users: 1. Sessions ended: 1.", "revoke-sessions", "--all")
		expectLoggedOut(t, server, "all revoked", tokens)

		older := server.MustRun(t, "", "users", "reset-link", email)
		link = server.MustRun(t, "", "users", "reset-link", email)
		tokens = login(better)
		expectReset(t, server, older, horse, http.StatusUnauthorized)
		expectReset(t, server, link, horse, http.StatusOK)
		expectReset(t, server, link, better, http.StatusUnauthorized)
		expectLoggedOut(t, server, "reset", tokens)

		tokens, link = login(horse), server.MustRun(t, "", "users", "reset-link", email)
		server.MustRun(t, "", "users", "delete", "--yes", email)
		expectLoggedOut(t, server, "deleted", tokens)
		refuse("deleted", horse)
		server.Login(t) // registers the email again, with the same password
		expectLoggedOut(t, server, "registered again", tokens)
		expectReset(t, server, link, better, http.StatusUnauthorized)
		if again := user(t, server, email); again.ID.String() == id {
			t.Error("the new user has the id of the deleted one")
		}
		expectEvents(t, server, id, "user-create", "user-disable", "user-enable", "user-reset-link", "user-set-password",
			"user-revoke-sessions", "user-reset-link", "user-reset-link", "reset-password", "user-reset-link", "user-delete")
	})
}

// expectEvents fails the test if the audit log has other changes of this deleted user, or says who
// it was.
func expectEvents(t *testing.T, server *processtest.Server, id string, want ...string) {
	t.Helper()
	var kinds []string
	for line := range strings.Lines(server.MustRun(t, "", "audit", "--json", "--user", id)) {
		var event struct{ Kind, Email, IP string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Contains(event.Kind, "user") || strings.Contains(event.Kind, "password") {
			kinds = append(kinds, event.Kind)
		}
		if event.Email != "" || event.IP != "" {
			t.Errorf("%s of %q from %q", event.Kind, event.Email, event.IP)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// expectReset fails the test if resetting the password with a link does not return the wanted
// status.
func expectReset(t *testing.T, server *processtest.Server, link, password string, want int) {
	t.Helper()
	token, found := strings.CutPrefix(link, "http://"+server.API+"/reset-password#token=")
	if !found {
		t.Fatalf("no link: %s", link)
	}
	status, _ := server.Post(t, "/auth/reset-password?token="+token, `{"password":"`+password+`"}`)
	if status != want {
		t.Errorf("reset with a link: %d, want %d", status, want)
	}
}

// A user without a password cannot log in before using a reset link.
func TestUserWithoutPassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		server.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
		if hash := user(t, server, "ada@example.com").PasswordHash; hash != "" {
			t.Errorf("the hash of a user without a password is %q", hash)
		}
		for _, attempt := range []string{"", horse} {
			if status, _ := tryLogin(t, server, "ada@example.com", attempt); status != http.StatusUnauthorized {
				t.Errorf("login with %q: %d", attempt, status)
			}
		}
		expectReset(t, server, server.MustRun(t, "", "users", "reset-link", "ada@example.com"), horse, http.StatusOK)
		if status, _ := tryLogin(t, server, "ada@example.com", horse); status != http.StatusOK {
			t.Errorf("login after the reset: %d", status)
		}
	})
}
