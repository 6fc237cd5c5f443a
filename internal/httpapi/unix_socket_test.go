package httpapi_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// onUnixSocket returns the options of a server whose API is on a Unix socket.
func onUnixSocket(t *testing.T) servertest.Options {
	t.Helper()
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	return servertest.Options{Addr: "unix:" + path, Base: &http.Transport{DialContext: dial}, Throttle: true}
}

// A program that connects to a Unix socket is a trusted proxy: each client has rate limits of its
// own.
func TestClientsOnAUnixSocket(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, onUnixSocket(t))
		s.Clock.Stop()
		email := s.NewUser(t)
		before := len(s.Log.String())
		for _, header := range [][2]string{
			{"X-Forwarded-For", "198.51.100.1, 203.0.113.9"}, {"Forwarded", "for=198.51.100.1, for=203.0.113.9"},
		} {
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, servertest.Password)
			expectStatus(t, s.Do(t, http.MethodPost, "/auth/login", body, "Content-Type", asJSON, header[0], header[1]), 200)
			var session auth.Session
			err := s.DB.WithContext(t.Context()).Order("created_at DESC, id DESC").Take(&session).Error
			if err != nil || session.IP != "203.0.113.9" {
				t.Errorf("%s: the client is %q, %v", header[0], session.IP, err)
			}
		}
		for i := range 20 {
			expectStatus(t, loginFrom(t, s, "192.0.2.1", fmt.Sprintf("nobody%d@example.com", i), wrong), 401)
		}
		expectStatus(t, loginFrom(t, s, "192.0.2.1", "nobody@example.com", wrong), 429)
		expectStatus(t, loginFrom(t, s, "192.0.2.2", "somebody@example.com", wrong), 401)
		if log := s.Log.String()[before:]; strings.Contains(log, unknownClient) {
			t.Errorf("a warning without a reason:\n%s", log)
		}
	})
}

// Without a header, clients on a Unix socket share their rate limits, and the log says so.
func TestUnknownClientsOnAUnixSocket(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, onUnixSocket(t))
		s.Clock.Stop()
		login := func(email, password string) servertest.Response {
			t.Helper()
			body := fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
			return s.Do(t, http.MethodPost, "/auth/login", body, "Content-Type", asJSON)
		}
		expectStatus(t, login(s.NewUser(t), servertest.Password), 200)
		var session auth.Session
		if err := s.DB.WithContext(t.Context()).Take(&session).Error; err != nil || session.IP != "127.0.0.1" {
			t.Errorf("the client is %q, %v", session.IP, err)
		}
		for i := range 20 {
			expectStatus(t, login(fmt.Sprintf("nobody%d@example.com", i), wrong), 401)
		}
		expectStatus(t, login("nobody@example.com", wrong), 429)
		log := s.Log.String()
		if strings.Count(log, unknownClient) != 1 || !strings.Contains(log, `"peer":"unix socket"`) ||
			!strings.Contains(log, "neither X-Forwarded-For nor Forwarded") {
			t.Errorf("the log:\n%s", log)
		}
	})
}
