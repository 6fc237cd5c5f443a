package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// user reads the row of an address.
func user(t *testing.T, p *processtest.Server, address string) *auth.User {
	t.Helper()
	db, err := database.Open(t.Context(), p.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	var user auth.User
	if err := errors.Join(db.WithContext(t.Context()).Where("email = ?", address).Take(&user).Error, db.Close()); err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return &user
}

// tryLogin logs in, or is refused.
func tryLogin(t *testing.T, p *processtest.Server, address, password string) (int, map[string]string) {
	t.Helper()
	return p.Post(t, "/auth/login", `{"email":"`+address+`","password":"`+password+`"}`)
}

// expect asserts what both tokens of a session are answered.
func expect(t *testing.T, p *processtest.Server, when string, tokens map[string]string, want int) {
	t.Helper()
	if status, _ := p.Post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"]); status != want {
		t.Errorf("%s, the access token answers %d", when, status)
	}
	if status, _ := p.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`); status != want {
		t.Errorf("%s, the refresh token answers %d", when, status)
	}
}

const horse, better = "correct horse battery", "an even better horse"

// What an operator does beside a running server is felt on the next call.
func TestUsersBesideARunningServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		const address = "ada@example.com"
		p := processtest.New(t, engine)
		p.Start(t)
		login := func(password string) map[string]string {
			t.Helper()
			status, tokens := tryLogin(t, p, address, password)
			if status != http.StatusOK {
				t.Fatalf("login: %d %v", status, tokens)
			}
			return tokens
		}
		refuse := func(when, password string) {
			t.Helper()
			if status, _ := tryLogin(t, p, address, password); status != http.StatusUnauthorized {
				t.Errorf("%s, a login answers %d", when, status)
			}
		}

		id := p.MustRun(t, horse+"\n", "users", "create", "--email", "Ada@Example.com", "--name", "Ada", "--bio", "Wrote", "--password-stdin")
		tokens, other := login(horse), login(horse)
		if created := user(t, p, address); created.ID.String() != id || created.Name != "Ada" || *created.Bio != "Wrote" {
			t.Errorf("created %+v, told %s", created, id)
		}

		if told := p.MustRun(t, "", "users", "disable", address); told != address+" is disabled and logged out everywhere." {
			t.Error(told)
		}
		if told := p.MustRun(t, "", "users", "disable", id); told != address+" was already disabled." {
			t.Error(told)
		}
		expect(t, p, "disabled", tokens, http.StatusUnauthorized)
		refuse("disabled", horse)
		if status, stdout, stderr := p.Run(t, "", "users", "reset-link", address); status != 1 || stdout != "" || !strings.Contains(stderr, "the user is disabled") {
			t.Errorf("a link for a disabled user: %d %s%s", status, stdout, stderr)
		}
		if told := p.MustRun(t, "", "users", "enable", address); told != address+" is enabled and can log in." {
			t.Error(told)
		}
		if told := p.MustRun(t, "", "users", "enable", strings.ToUpper(address)); told != address+" was already enabled." {
			t.Error(told)
		}
		expect(t, p, "enabled again", tokens, http.StatusUnauthorized)
		expect(t, p, "enabled again", other, http.StatusUnauthorized)

		tokens = login(horse)
		link := p.MustRun(t, "", "users", "reset-link", address)
		p.MustRun(t, better+"\r\n", "users", "set-password", address, "--password-stdin")
		expect(t, p, "with another password", tokens, http.StatusUnauthorized)
		refuse("with another password", horse)
		expectReset(t, p, link, horse, http.StatusUnauthorized)
		processtest.Eventually(t, "the owner is told", func() bool {
			letters, err := filepath.Glob(filepath.Join(p.Folder, "sesame-data", "mail", "*.eml"))
			return err == nil && len(letters) == 1
		})
		if letter := p.MustShell(t, "cat sesame-data/mail/*.eml"); !strings.Contains(letter, "password was changed") {
			t.Errorf("the letter:\n%s", letter)
		}

		tokens, other = login(better), login(better)
		if told := p.MustRun(t, "", "users", "revoke-sessions", id); told != address+" is logged out everywhere. Sessions ended: 2." {
			t.Error(told)
		}
		expect(t, p, "revoked", tokens, http.StatusUnauthorized)
		expect(t, p, "revoked", other, http.StatusUnauthorized)
		tokens = login(better)
		if told := p.MustRun(t, "", "users", "revoke-sessions", "--all"); told != "All users are logged out. Users: 1. Sessions ended: 1." {
			t.Error(told)
		}
		expect(t, p, "all revoked", tokens, http.StatusUnauthorized)

		older, link := p.MustRun(t, "", "users", "reset-link", address), p.MustRun(t, "", "users", "reset-link", address)
		tokens = login(better)
		expectReset(t, p, older, horse, http.StatusUnauthorized)
		expectReset(t, p, link, horse, http.StatusOK)
		expectReset(t, p, link, better, http.StatusUnauthorized)
		expect(t, p, "reset", tokens, http.StatusUnauthorized)

		tokens, link = login(horse), p.MustRun(t, "", "users", "reset-link", address)
		if status, _, stderr := p.Run(t, "y\n", "users", "delete", address); status != 2 || !strings.Contains(stderr, "--yes") {
			t.Errorf("delete without a terminal: %d %s", status, stderr)
		}
		expect(t, p, "not deleted", tokens, http.StatusOK)
		p.MustRun(t, "", "users", "delete", "--yes", address)
		expect(t, p, "deleted", tokens, http.StatusUnauthorized)
		refuse("deleted", horse)
		p.Login(t) // registers the address again, with the same password
		expect(t, p, "registered again", tokens, http.StatusUnauthorized)
		expectReset(t, p, link, better, http.StatusUnauthorized)
		if again := user(t, p, address); again.ID.String() == id {
			t.Error("the new account has the old one's id")
		}
		expectRecord(t, p, id, "user-create", "user-disable", "user-enable", "user-reset-link", "user-set-password", "user-revoke-sessions",
			"user-reset-link", "user-reset-link", "reset-password", "user-reset-link", "user-delete")
	})
}

// expectRecord asserts what was done to an account, by whomever, besides logging in.
func expectRecord(t *testing.T, p *processtest.Server, id string, want ...string) {
	t.Helper()
	var kinds []string
	for line := range strings.Lines(p.MustRun(t, "", "audit", "--json", "--user", id)) {
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
		t.Errorf("the record has %v, want %v", kinds, want)
	}
}

// expectReset asserts what a link's token is answered.
func expectReset(t *testing.T, p *processtest.Server, link, password string, want int) {
	t.Helper()
	resetToken, found := strings.CutPrefix(link, "http://"+p.API+"/reset-password#token=")
	if !found {
		t.Fatalf("no link: %s", link)
	}
	if status, _ := p.Post(t, "/auth/reset-password?token="+resetToken, `{"password":"`+password+`"}`); status != want {
		t.Errorf("a reset by link answers %d, want %d", status, want)
	}
}

// An account without a password lets nobody in until a reset link was used.
func TestUserWithoutPassword(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		p.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "Ada", "--no-password")
		hash := user(t, p, "ada@example.com").PasswordHash
		if !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("the hash of nobody's password takes another time: %q", hash)
		}
		for _, attempt := range []string{"", horse, hash} {
			if status, _ := tryLogin(t, p, "ada@example.com", attempt); status != http.StatusUnauthorized {
				t.Errorf("%q: %d", attempt, status)
			}
		}
		expectReset(t, p, p.MustRun(t, "", "users", "reset-link", "ada@example.com"), horse, http.StatusOK)
		if status, _ := tryLogin(t, p, "ada@example.com", horse); status != http.StatusOK {
			t.Errorf("after the reset: %d", status)
		}
	})
}

func TestUsersAreShown(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		ada := p.MustRun(t, "", "users", "create", "--email", "ada@example.com", "--name", "A\x1b[31m\u009bda", "--no-password", "--bio", "one\ntwo")
		grace := p.MustRun(t, horse, "users", "create", "--email", "grace@example.com", "--name", "Grace", "--password-stdin")
		status, tokens, err := p.TryPost(t.Context(), "/auth/login", `{"email":"grace@example.com","password":"`+horse+`"}`, "User-Agent", "curl \u009b")
		if err != nil || status != http.StatusOK {
			t.Fatal(status, tokens, err)
		}
		p.MustRun(t, "", "users", "disable", ada)

		rows := strings.Split(p.MustRun(t, "", "users", "list"), "\n")
		if len(rows) != 3 || !strings.HasPrefix(rows[0], "ID ") || !strings.HasPrefix(rows[1], ada) || !strings.HasSuffix(rows[1], "  A\uFFFD[31m\uFFFDda") || !strings.HasSuffix(rows[2], "  -                     grace@example.com                         Grace") {
			t.Errorf("list:\n%q", rows)
		}
		if rows := strings.Split(p.MustRun(t, "", "users", "list", "--disabled", "--json"), "\n"); len(rows) != 1 || !strings.Contains(rows[0], `{"id":"`+ada+`","email":"ada@example.com"`) || !strings.HasSuffix(rows[0], `"disabled":true}`) {
			t.Errorf("list --disabled --json:\n%q", rows)
		}
		for _, test := range []struct{ flags, want string }{{"--search GRACE", grace}, {"--search ada@", ada}, {"--limit 1", ada}} {
			args := append([]string{"users", "list", "--json"}, strings.Fields(test.flags)...)
			if rows := strings.Split(p.MustRun(t, "", args...), "\n"); len(rows) != 1 || !strings.Contains(rows[0], test.want) {
				t.Errorf("list %s:\n%q", test.flags, rows)
			}
		}
		if found := p.MustRun(t, "", "users", "list", "--json", "--search", "nobody"); found != "" {
			t.Errorf("--search nobody: %s", found)
		}
		shownUser := p.MustRun(t, "", "users", "show", "grace@example.com")
		for _, words := range []string{"id          " + grace, "email       grace@example.com", "disabled    -", "last login  2", "127.0.0.1", "curl \uFFFD"} {
			if !strings.Contains(shownUser, words) {
				t.Errorf("show does not say %q:\n%s", words, shownUser)
			}
		}
		asJSON := p.MustRun(t, "", "users", "show", grace, "--json")
		for _, words := range []string{`{"id":"` + grace + `","email":"grace@example.com"`, `"sessions":[{"id":"`, `"createdAt":"`, `"lastLoginAt":"`, `"lastUsedAt":"`, `"ip":"127.0.0.1","userAgent":"curl `} {
			if !strings.Contains(asJSON, words) {
				t.Errorf("show --json does not say %q:\n%s", words, asJSON)
			}
		}
		if told := p.MustRun(t, "", "users", "show", ada); strings.ContainsAny(told, "\x1b\u009b") || !strings.Contains(told, "one\uFFFDtwo") || strings.Contains(told, "SESSION") {
			t.Errorf("show:\n%q", told)
		}
	})
}

// Who calls wrongly is told so by status 2, who asks for what cannot be by status 1, and no password comes back.
func TestUsersRefuse(t *testing.T) {
	p := processtest.New(t, databasetest.SQLite)
	p.MustRun(t, horse, "users", "create", "--email", "ada@example.com", "--name", "Ada", "--password-stdin")
	create := func(more ...string) []string {
		return append([]string{"users", "create", "--email", "new@example.com", "--name", "New"}, more...)
	}
	for _, test := range []struct {
		args   []string
		stdin  string
		status int
		words  string
	}{
		{create(), horse, 2, "--password-stdin"},
		{create("--password-stdin", "--no-password"), horse, 2, "not both"},
		{create("--password", horse), "", 2, "unknown flag"},
		{create("more"), "", 2, "unknown command"},
		{[]string{"users", "lst"}, "", 2, "did you mean list?"},
		{[]string{"user"}, "", 2, "did you mean users?"},
		{[]string{"users", "xyzzyx"}, "", 2, "unknown command"},
		{[]string{"users", "list", "--limit", "0"}, "", 2, "--limit must be 1 or more"},
		{[]string{"users", "create", "--name", "New", "--no-password"}, "", 2, "--email and --name"},
		{[]string{"users", "create", "--email", "new@example.com", "--no-password"}, "", 2, "--email and --name"},
		{create("--password-stdin"), "", 1, "cannot be used"},
		{create("--password-stdin"), "tiny", 1, "shorter than 8"},
		{create("--password-stdin"), strings.Repeat("long ", 10_000), 1, "longer than 128"},
		{create("--password-stdin"), "password", 1, "most common"},
		{create("--password-stdin"), "new@example.com1", 1, "too close to your name"},
		{create("--password-stdin"), horse + "\nand more", 1, "cannot be used"},
		{create("--no-password", "--email", "ADA@example.com"), "", 1, "the email has an account"},
		{create("--no-password", "--email", "nowhere"), "", 1, "not a valid email address"},
		{create("--no-password", "--name", strings.Repeat("n", 101)), "", 1, "a name has 1 to 100"},
		{create("--no-password", "--bio", strings.Repeat("n", 501)), "", 1, "a bio has at most 500"},
		{[]string{"users", "set-password", "ada@example.com"}, better, 2, "--password-stdin"},
		{[]string{"users", "set-password", "ada@example.com", "--password-stdin"}, "Ada@example", 1, "too close to your name"},
		{[]string{"users", "show", "nobody@example.com"}, "", 1, "nobody@example.com: there is no such user"},
		{[]string{"users", "disable", "nobody"}, "", 1, "nobody: there is no such user"},
		{[]string{"users", "enable", uuid.NewString()}, "", 1, "there is no such user"},
		{[]string{"users", "delete", "--yes", uuid.NewString()}, "", 1, "there is no such user"},
		{[]string{"users", "show"}, "", 2, "accepts 1 arg(s)"},
		{[]string{"users", "revoke-sessions"}, "", 2, "accepts 1 arg(s)"},
		{[]string{"users", "revoke-sessions", "--all", "ada@example.com"}, "", 2, "not both"},
		{[]string{"users", "list", "ada@example.com"}, "", 2, "unknown command"},
		{[]string{"users", "import"}, "", 2, "accepts 1 arg(s)"},
		{[]string{"users", "import", "nothing.ndjson"}, "", 1, "no such file"},
		{[]string{"users", "nothing"}, "", 2, "unknown command"},
	} {
		status, stdout, stderr := p.Run(t, test.stdin, test.args...)
		if status != test.status || stdout != "" || !strings.Contains(stderr, test.words) || test.stdin != "password" && len(test.stdin) > 0 && strings.Contains(stderr, test.stdin) {
			t.Errorf("%q: status %d\n%s%s", test.args, status, stdout, stderr)
		}
	}
	if rows := strings.Split(p.MustRun(t, "", "users", "list", "--json"), "\n"); len(rows) != 1 {
		t.Errorf("users are %q", rows)
	}
	if user := user(t, p, "ada@example.com"); user.Generation != 1 {
		t.Errorf("a refused command changed %+v", user)
	}
}
