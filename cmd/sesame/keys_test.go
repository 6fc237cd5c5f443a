package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// A running server uses the changes of the keys commands within seconds.
func TestRunningServerReloadsKeys(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine, "SESAME_RELOAD_KEYS=1s")
		server.Start(t)
		tokens := server.Login(t)
		server.MustRun(t, "", "keys", "rotate")
		processtest.Eventually(t, "the next key is published", func() bool { return server.PublishedKeys(t) == 2 })
		active := regexp.MustCompile(`(\S+)  ES256 +active`).FindStringSubmatch(server.MustRun(t, "", "keys", "list"))
		if active == nil {
			t.Fatal("no key is active")
		}
		for range 2 { // the second time, the signature is known to be valid
			if status := server.Authenticate(t, tokens["accessToken"]); status != http.StatusOK {
				t.Errorf("before the key is revoked: %d", status)
			}
		}
		server.MustRun(t, "", "keys", "revoke", active[1])
		processtest.Eventually(t, "tokens of the revoked key are refused", func() bool {
			return server.Authenticate(t, tokens["accessToken"]) == http.StatusUnauthorized
		})

		// The session does not depend on the key.
		status, next := server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Errorf("refresh after the key was revoked: %d", status)
		}
		if status := server.Authenticate(t, next["accessToken"]); status != http.StatusOK {
			t.Errorf("access token of the next key: %d", status)
		}
	})
}

// The secret is rotated in three steps. Sessions and access tokens stay valid.
func TestSecretIsRotated(t *testing.T) {
	fresh := strings.ToLower(processtest.Secret)
	server := processtest.New(t, databasetest.Postgres)
	base := server.Environment
	var tokens map[string]string
	for i, step := range [][]string{
		{"SESAME_SECRET=" + processtest.Secret},
		{"SESAME_SECRET=" + processtest.Secret, "SESAME_SECRET_PREVIOUS=" + fresh},
		{"SESAME_SECRET=" + fresh, "SESAME_SECRET_PREVIOUS=" + processtest.Secret},
		{"SESAME_SECRET=" + fresh},
	} {
		server.Environment = slices.Concat(base, step)
		server.Start(t)
		if i == 0 {
			tokens = server.Login(t)
		}
		if status := server.Authenticate(t, tokens["accessToken"]); status != http.StatusOK {
			t.Errorf("step %d: access token: %d", i, status)
		}
		status, next := server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		if status != http.StatusOK {
			t.Fatalf("step %d: refresh: %d", i, status)
		}
		tokens = next
		if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
}
