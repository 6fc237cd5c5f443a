package main

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// Guessing is limited unless it is switched off, and kill -9 does not begin the count anew.
func TestGuessesAreLimited(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		for i := range 11 {
			if i == 5 {
				_, _ = p.Stop(t, syscall.SIGKILL)
				p.Start(t)
			}
			want := http.StatusUnauthorized
			if i == 10 {
				want = http.StatusTooManyRequests
			}
			if status, _ := p.Post(t, "/auth/login", `{"email":"ada@example.com","password":"a wrong password"}`); status != want {
				t.Errorf("guess %d: %d", i+1, status)
			}
		}
	})
}
