package main

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A running server follows the commands within seconds.
func TestKeysOfARunningServer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine, "SESAME_RELOAD_KEYS=1s", "SESAME_DATA_DIR="+t.TempDir())
		p.Start(t)
		tokens := p.Login(t)
		status, stdout, stderr := run(t, p.Environment, "keys", "rotate")
		if status != 0 || !strings.Contains(stdout, "is published") {
			t.Fatalf("rotate: %d %s%s", status, stdout, stderr)
		}
		processtest.Eventually(t, "the next key is published", func() bool { return p.PublishedKeys(t) == 2 })
		status, stdout, _ = run(t, p.Environment, "keys", "list")
		rows := strings.Split(strings.TrimSpace(stdout), "\n")
		if status != 0 || len(rows) != 3 || !strings.Contains(rows[1], " next ") || !strings.Contains(rows[2], " active ") {
			t.Fatalf("list: %d\n%s", status, stdout)
		}
		active := strings.Fields(rows[2])[0]
		if status, stdout, stderr := run(t, p.Environment, "keys", "revoke", active); status != 0 {
			t.Fatalf("revoke: %d %s%s", status, stdout, stderr)
		}
		processtest.Eventually(t, "what the revoked key signed is refused", func() bool {
			status, _ := p.Post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"])
			return status == http.StatusUnauthorized
		})
		status, next := p.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Errorf("the session did not survive its key: %d", status)
		}
		if status, _ := p.Post(t, "/auth", "", "Authorization", "Bearer "+next["accessToken"]); status != http.StatusOK {
			t.Errorf("a token of the next key: %d", status)
		}
		if status, _, stderr := run(t, p.Environment, "keys", "revoke", "-npMxIXQl8w81Hcx-nJUasf4pnkM8ECDX1fyFv_dWf0"); status != 1 || !strings.Contains(stderr, "no such signing key") {
			t.Errorf("a kid that begins with a hyphen: %d %s", status, stderr)
		}
		if status, stdout, _ := run(t, p.Environment, "keys", "revoke", "--help"); status != 0 || !strings.Contains(stdout, "revoke KID") {
			t.Errorf("help: %d %s", status, stdout)
		}
		for _, args := range [][]string{{"keys", "revoke"}, {"keys", "revoke", "a", "b"}, {"keys", "nothing"}} {
			if status, _, _ := run(t, p.Environment, args...); status != 2 {
				t.Errorf("%v: status %d", args, status)
			}
		}
		if status, _, stderr := run(t, p.Environment, "keys", "revoke", active); status != 1 || !strings.Contains(stderr, "no such signing key") {
			t.Errorf("revoked twice: %d %s", status, stderr)
		}
	})
}

// The secret is rotated in three steps, and nobody is logged out.
func TestSecretIsRotated(t *testing.T) {
	fresh := strings.ToLower(processtest.Secret)
	p := processtest.New(t, databasetest.Postgres)
	base := withoutSecret(p.Environment)
	var tokens map[string]string
	for i, step := range [][]string{
		{"SESAME_SECRET=" + processtest.Secret},
		{"SESAME_SECRET=" + processtest.Secret, "SESAME_SECRET_PREVIOUS=" + fresh},
		{"SESAME_SECRET=" + fresh, "SESAME_SECRET_PREVIOUS=" + processtest.Secret},
		{"SESAME_SECRET=" + fresh},
	} {
		p.Environment = slices.Concat(base, step)
		p.Start(t)
		if i == 0 {
			tokens = p.Login(t)
		}
		if status, _ := p.Post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"]); status != http.StatusOK {
			t.Errorf("step %d: the access token answers %d", i, status)
		}
		status, next := p.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Fatalf("step %d: the refresh token answers %d", i, status)
		}
		tokens = next
		if _, err := p.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
}

func withoutSecret(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "SESAME_SECRET=") {
			kept = append(kept, variable)
		}
	}
	return kept
}
