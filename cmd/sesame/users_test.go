package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// prepare returns a command of the built program with the settings of the server, ready to run. It is killed after two
// minutes.
func (p *process) prepare(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, path, args...)
	command.Dir, command.Env = p.folder, p.environment
	return command
}

// sesame runs a command of the built program with the settings of the server.
func (p *process) sesame(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	command := p.prepare(t, args...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errOut
	var failed *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errOut.String()
}

// does is like sesame, but fails the test if the command fails or prints to standard error.
func (p *process) does(t *testing.T, stdin string, args ...string) (stdout string) {
	t.Helper()
	status, stdout, stderr := p.sesame(t, stdin, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("sesame %q: status %d\n%s%s", args, status, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// user reads the user with this email from the database.
func (p *process) user(t *testing.T, email string) *auth.User {
	t.Helper()
	db, err := database.Open(t.Context(), p.database)
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
func (p *process) tryLogin(t *testing.T, email, password string) (int, map[string]string) {
	t.Helper()
	return p.post(t, "/auth/login", `{"email":"`+email+`","password":"`+password+`"}`)
}

// expectLoggedOut fails the test if the server accepts a token of the session.
func (p *process) expectLoggedOut(t *testing.T, when string, tokens map[string]string) {
	t.Helper()
	status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"])
	if status != http.StatusUnauthorized {
		t.Errorf("%s: access token: %d", when, status)
	}
	status, _ = p.post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
	if status != http.StatusUnauthorized {
		t.Errorf("%s: refresh token: %d", when, status)
	}
}

const horse, better = "correct horse battery", "an even better horse"

// The commands take effect on a running server with the next request.
func TestUsersOfARunningServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const email = "ada@example.com"
		p := newProcess(t, engine)
		p.start(t)
		login := func(password string) map[string]string {
			t.Helper()
			status, tokens := p.tryLogin(t, email, password)
			if status != http.StatusOK {
				t.Fatalf("login: %d %v", status, tokens)
			}
			return tokens
		}
		refuse := func(when, password string) {
			t.Helper()
			if status, _ := p.tryLogin(t, email, password); status != http.StatusUnauthorized {
				t.Errorf("%s: login: %d", when, status)
			}
		}
		users := func(want string, args ...string) {
			t.Helper()
			if stdout := p.does(t, "", append([]string{"users"}, args...)...); stdout != want {
				t.Errorf("users %q printed %q, want %q", args, stdout, want)
			}
		}

		id := p.does(t, horse+"\n", "users", "create", "--email", "Ada@Example.com", "--name", "Ada", "--bio", "Wrote",
			"--password-stdin")
		tokens, other := login(horse), login(horse)
		if user := p.user(t, email); user.ID.String() != id || user.Name != "Ada" || *user.Bio != "Wrote" {
			t.Errorf("created %+v, printed %s", user, id)
		}

		users(email+" is disabled and logged out everywhere.", "disable", email)
		users(email+" was already disabled.", "disable", id)
		p.expectLoggedOut(t, "disabled", tokens)
		refuse("disabled", horse)
		status, stdout, stderr := p.sesame(t, "", "users", "reset-link", email)
		if status != 1 || stdout != "" || !strings.Contains(stderr, "the user is disabled") {
			t.Errorf("reset-link for a disabled user: %d %s%s", status, stdout, stderr)
		}
		users(email+" is enabled and can log in.", "enable", email)
		users(email+" was already enabled.", "enable", strings.ToUpper(email))
		p.expectLoggedOut(t, "enabled again", tokens)
		p.expectLoggedOut(t, "enabled again", other)

		tokens = login(horse)
		link := p.does(t, "", "users", "reset-link", email)
		p.does(t, better+"\r\n", "users", "set-password", email, "--password-stdin")
		p.expectLoggedOut(t, "new password", tokens)
		refuse("new password", horse)
		p.expectReset(t, link, horse, http.StatusUnauthorized)
		eventually(t, "the user gets an email", func() bool {
			emails, err := filepath.Glob(filepath.Join(p.folder, "sesame-data", "mail", "*.eml"))
			return err == nil && len(emails) == 1
		})
		if message := p.shell(t, "cat sesame-data/mail/*.eml"); !strings.Contains(message, "password was changed") {
			t.Errorf("email:\n%s", message)
		}

		tokens, other = login(better), login(better)
		users(email+" is logged out everywhere. Sessions ended: 2.", "revoke-sessions", id)
		p.expectLoggedOut(t, "revoked", tokens)
		p.expectLoggedOut(t, "revoked", other)
		tokens = login(better)
		users("All users are logged out. Users: 1. Sessions ended: 1.", "revoke-sessions", "--all")
		p.expectLoggedOut(t, "all revoked", tokens)

		older, link := p.does(t, "", "users", "reset-link", email), p.does(t, "", "users", "reset-link", email)
		tokens = login(better)
		p.expectReset(t, older, horse, http.StatusUnauthorized)
		p.expectReset(t, link, horse, http.StatusOK)
		p.expectReset(t, link, better, http.StatusUnauthorized)
		p.expectLoggedOut(t, "reset", tokens)

		tokens, link = login(horse), p.does(t, "", "users", "reset-link", email)
		p.does(t, "", "users", "delete", "--yes", email)
		p.expectLoggedOut(t, "deleted", tokens)
		refuse("deleted", horse)
		p.login(t) // registers the email again, with the same password
		p.expectLoggedOut(t, "registered again", tokens)
		p.expectReset(t, link, better, http.StatusUnauthorized)
		if again := p.user(t, email); again.ID.String() == id {
			t.Error("the new user has the id of the deleted one")
		}
		p.expectEvents(t, id, "user-create", "user-disable", "user-enable", "user-reset-link", "user-set-password",
			"user-revoke-sessions", "user-reset-link", "user-reset-link", "reset-password", "user-reset-link", "user-delete")
	})
}

// expectEvents fails the test if the audit log has other changes of this user.
func (p *process) expectEvents(t *testing.T, id string, want ...string) {
	t.Helper()
	var kinds []string
	for line := range strings.Lines(p.does(t, "", "audit", "--json", "--user", id)) {
		var event struct{ Kind, Outcome, Email string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if strings.Contains(event.Kind, "user") || strings.Contains(event.Kind, "password") {
			kinds = append(kinds, event.Kind)
		}
		if event.Email != "ada@example.com" {
			t.Errorf("%s of %q", event.Kind, event.Email)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}

// expectReset fails the test if resetting the password with a link does not return the wanted status.
func (p *process) expectReset(t *testing.T, link, password string, want int) {
	t.Helper()
	token, found := strings.CutPrefix(link, "http://"+p.api+"/reset-password#token=")
	if !found {
		t.Fatalf("no link: %s", link)
	}
	status, _ := p.post(t, "/auth/reset-password?token="+token, `{"password":"`+password+`"}`)
	if status != want {
		t.Errorf("reset with a link: %d, want %d", status, want)
	}
}

// A user without a password cannot log in before using a reset link.
func TestUserWithoutPassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine)
		p.start(t)
		p.does(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
		hash := p.user(t, "ada@example.com").PasswordHash
		if !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("the hash %q of a user without a password takes a different time", hash)
		}
		for _, attempt := range []string{"", horse, hash} {
			if status, _ := p.tryLogin(t, "ada@example.com", attempt); status != http.StatusUnauthorized {
				t.Errorf("login with %q: %d", attempt, status)
			}
		}
		p.expectReset(t, p.does(t, "", "users", "reset-link", "ada@example.com"), horse, http.StatusOK)
		if status, _ := p.tryLogin(t, "ada@example.com", horse); status != http.StatusOK {
			t.Errorf("login after the reset: %d", status)
		}
	})
}
