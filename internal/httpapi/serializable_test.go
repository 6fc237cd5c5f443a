package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// With a database whose transactions are serializable by default, PostgreSQL refuses many of those
// that run in parallel. They run again: no request fails.
func TestSerializableDatabase(t *testing.T) {
	const engine = databasetest.Postgres
	databaseURL := databasetest.URL(t, engine) + "&default_transaction_isolation=serializable"
	options := servertest.Options{Throttle: true, BehindProxy: true}
	one := servertest.StartOn(t, engine, databaseURL, options)
	other := one.StartAnother(t, engine, options)
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			email := fmt.Sprintf("serializable%d@example.com", user)
			network := fmt.Sprintf("192.0.2.%d", user/2) // two users share the limits of a network
			post := func(s *servertest.Server, want int, path, body string) servertest.Response {
				response := s.Do(t, http.MethodPost, path, body, "Content-Type", asJSON, "X-Forwarded-For", network)
				if response.Status != want {
					t.Errorf("%s of user %d: %d %s, want %d", path, user, response.Status, response.Raw, want)
				}
				return response
			}
			const password = "correct horse battery staple"
			post(one, 201, "/auth/register", fmt.Sprintf(
				`{"name":"Ada","email":%q,"password":%q,"confirm":%q}`, email, password, password))
			credentials := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
			post(other, 401, "/auth/login", fmt.Sprintf(`{"email":%q,"password":"wrong horse"}`, email))
			post(one, 202, "/auth/forgot-password", fmt.Sprintf(`{"email":%q}`, email))
			for range 2 {
				tokens := post(one, 200, "/auth/login", credentials)
				var tabs sync.WaitGroup // the same token twice at the same time
				for _, s := range []*servertest.Server{one, other} {
					tabs.Go(func() {
						post(s, 200, "/auth/refresh-tokens", fmt.Sprintf(`{"refreshToken":%q}`, tokens.Text("refreshToken")))
					})
				}
				tabs.Wait()
				if response := other.Authenticate(t, tokens.Text("accessToken")); response.Status != http.StatusOK {
					t.Errorf("authenticate: %d %s", response.Status, response.Raw)
				}
				post(other, 200, "/auth/logout", fmt.Sprintf(`{"refreshToken":%q}`, tokens.Text("refreshToken")))
				post(one, 401, "/auth/refresh-tokens", fmt.Sprintf(`{"refreshToken":%q}`, tokens.Text("refreshToken")))
			}
		})
	}
	users.Wait()
}
