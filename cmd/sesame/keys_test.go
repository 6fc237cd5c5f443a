package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// eventually waits until a condition is met, at most 20 seconds.
func eventually(t *testing.T, condition string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 seconds: %s", condition)
		}
	}
}

// publishedKeys returns the number of keys in the key set.
func (p *process) publishedKeys(t *testing.T) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.api+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return len(set.Keys)
}

// A running server uses the changes of the keys commands within seconds.
func TestRunningServerReloadsKeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine, "SESAME_RELOAD_KEYS=1s")
		p.start(t)
		tokens := p.login(t)
		authenticate := func(accessToken string) int {
			t.Helper()
			status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+accessToken)
			return status
		}

		p.does(t, "", "keys", "rotate")
		eventually(t, "the next key is published", func() bool { return p.publishedKeys(t) == 2 })
		active := regexp.MustCompile(`(\S+)  ES256 +active`).FindStringSubmatch(p.does(t, "", "keys", "list"))
		if active == nil {
			t.Fatal("no key is active")
		}
		p.does(t, "", "keys", "revoke", active[1])
		eventually(t, "tokens of the revoked key are refused", func() bool {
			return authenticate(tokens["accessToken"]) == http.StatusUnauthorized
		})

		// The session does not depend on the key.
		status, next := p.post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Errorf("refresh after the key was revoked: %d", status)
		}
		if status := authenticate(next["accessToken"]); status != http.StatusOK {
			t.Errorf("access token of the next key: %d", status)
		}
	})
}

// The secret is rotated in three steps. Sessions and access tokens stay valid.
func TestSecretIsRotated(t *testing.T) {
	fresh := strings.ToLower(secretOfTests)
	p := newProcess(t, databasetest.Postgres)
	base := p.environment
	var tokens map[string]string
	for i, step := range [][]string{
		{"SESAME_SECRET=" + secretOfTests},
		{"SESAME_SECRET=" + secretOfTests, "SESAME_SECRET_PREVIOUS=" + fresh},
		{"SESAME_SECRET=" + fresh, "SESAME_SECRET_PREVIOUS=" + secretOfTests},
		{"SESAME_SECRET=" + fresh},
	} {
		p.environment = slices.Concat(base, step)
		p.start(t)
		if i == 0 {
			tokens = p.login(t)
		}
		if status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"]); status != http.StatusOK {
			t.Errorf("step %d: access token: %d", i, status)
		}
		status, next := p.post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Fatalf("step %d: refresh: %d", i, status)
		}
		tokens = next
		if _, err := p.end(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
}
