package httpapi_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/database/databasetest/cluster"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// With PgBouncer in transaction mode, which runs each transaction on another connection, all
// operations succeed, also in parallel.
func TestTransactionPooler(t *testing.T) {
	const engine = databasetest.Postgres
	databaseURL := databasetest.Empty(t, engine) // the server migrates it, through the pooler
	pooler, err := cluster.StartPooler(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pooler.Stop(); err != nil {
			t.Error(err)
		}
	})
	through, err := pooler.Through(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	s := servertest.StartOn(t, engine, through, servertest.Options{})
	other := s.StartAnother(t, engine, servertest.Options{})
	var users sync.WaitGroup
	for range 20 {
		users.Go(func() {
			email := s.NewUser(t)
			tokens := other.RequireActive(t, s.Login(t, email))
			s.Logout(t, tokens.Refresh)
			other.RequireEnded(t, tokens)
		})
	}
	users.Wait()
	email := s.NewUser(t)
	user, err := s.Auth.FindUser(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	link, err := other.Auth.ResetLink(t.Context(), user.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "#token=")
	const changed = "an even better horse"
	if response := s.ResetPassword(t, token, changed); response.Status != 200 {
		t.Errorf("reset: %d %s", response.Status, response.Raw)
	}
	if response := s.Post(t, "/auth/login", "email", email, "password", changed); response.Status != 200 {
		t.Errorf("login: %d %s", response.Status, response.Raw)
	}
	if _, err := s.Keys.Rotate(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Auth.Purge(t.Context()); err != nil {
		t.Error(err)
	}
}
