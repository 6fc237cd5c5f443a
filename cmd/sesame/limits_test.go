package main

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// Failed logins are limited, and the count survives kill -9.
func TestLoginLimitSurvivesKill(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		for i := range 11 {
			if i == 5 {
				_, _ = server.Stop(t, syscall.SIGKILL)
				server.Start(t)
			}
			want := http.StatusUnauthorized
			if i == 10 {
				want = http.StatusTooManyRequests
			}
			if status, _ := tryLogin(t, server, "ada@example.com", "a wrong password"); status != want {
				t.Errorf("login %d: %d, want %d", i+1, status, want)
			}
		}
	})
}
