package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// unknownClient is the message of the warnings about proxies.
const unknownClient = `"level":"WARN","msg":"the IP address of the client is unknown"`

// X-Forwarded-For and Forwarded are used if they come from a trusted proxy. Otherwise they are
// ignored, and this is logged once.
func TestForwardedIP(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for trusted, want := range map[bool]string{true: "203.0.113.9", false: "127.0.0.1"} {
			for _, sent := range [][2]string{
				{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"},
				{"Forwarded: for=198.51.100.1", "Forwarded: proto=https;for=203.0.113.9"},
			} {
				s := servertest.Start(t, engine, servertest.Options{BehindProxy: trusted})
				headers := []string{"Content-Type", asJSON}
				for _, line := range sent {
					name, value, _ := strings.Cut(line, ": ")
					headers = append(headers, name, value)
				}
				s.Do(t, http.MethodGet, "/", "")
				if strings.Contains(s.Log.String(), unknownClient) {
					t.Error("warned without a reason")
				}
				post := func(path, body string, status int) {
					t.Helper()
					if response := s.Do(t, http.MethodPost, path, body, headers...); response.Status != status {
						t.Fatalf("%s: %d %s", path, response.Status, response.Raw)
					}
				}
				credentials := fmt.Sprintf(`"email":"ada@example.com","password":%q`, servertest.Password)
				post("/auth/register", fmt.Sprintf(`{"name":"Ada","confirm":%q,%s}`, servertest.Password, credentials), 201)
				post("/auth/login", "{"+credentials+"}", 200)
				var session auth.Session
				if err := s.DB.WithContext(t.Context()).Take(&session).Error; err != nil || session.IP != want {
					t.Errorf("%q, trusted %v: the client is %q, %v", sent, trusted, session.IP, err)
				}
				warnings := strings.Count(s.Log.String(), unknownClient)
				if trusted && warnings != 0 || !trusted && warnings != 1 {
					t.Errorf("%q, trusted %v: %d warnings", sent, trusted, warnings)
				}
			}
		}
	})
}

// Each reason why the IP address of a client is unknown is logged, with the first request.
func TestUnknownIPIsLogged(t *testing.T) {
	for _, test := range []struct {
		trusted       bool
		header, value string
		want          string // empty: no warning
	}{
		{false, "X-Forwarded-For", "203.0.113.9", "add it to SESAME_TRUSTED_PROXIES"},
		{false, "Forwarded", "for=203.0.113.9", "add it to SESAME_TRUSTED_PROXIES"},
		{false, "X-Real-IP", "203.0.113.9", "add it to SESAME_TRUSTED_PROXIES"},
		{false, "X-Request-Id", "1", ""},
		{true, "X-Real-IP", "203.0.113.9", "X-Real-IP, which is not used"},
		{true, "X-Request-Id", "1", "neither X-Forwarded-For nor Forwarded"},
		{true, "Forwarded", "for=unknown", "is missing"},
		{true, "X-Forwarded-For", "203.0.113.9", ""},
	} {
		s := servertest.Start(t, databasetest.SQLite, servertest.Options{BehindProxy: test.trusted})
		for range 3 {
			s.Do(t, http.MethodPost, "/auth/login", "{}", "Content-Type", asJSON, test.header, test.value)
		}
		log := s.Log.String()
		warnings := strings.Count(log, unknownClient)
		if test.want == "" && warnings != 0 || test.want != "" && (warnings != 1 || !strings.Contains(log, test.want)) {
			t.Errorf("%+v: %d warnings\n%s", test, warnings, log)
		}
	}
}

// Behind a proxy that is not configured, all clients share the limits of the proxy, and the log
// says so before anybody is locked out. Behind a configured proxy each client has its own.
func TestClientsBehindAProxy(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for _, configured := range []bool{true, false} {
			s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: configured})
			s.Clock.Stop()
			for i := range 20 {
				expectStatus(t, loginFrom(t, s, "192.0.2.1", fmt.Sprintf("nobody%d@example.com", i), wrong), 401)
				if warned := strings.Contains(s.Log.String(), unknownClient); warned == configured {
					t.Errorf("configured %v: warned %v after login %d", configured, warned, i+1)
				}
			}
			expectStatus(t, loginFrom(t, s, "192.0.2.1", "nobody@example.com", wrong), 429)
			other := http.StatusTooManyRequests
			if configured {
				other = http.StatusUnauthorized
			}
			expectStatus(t, loginFrom(t, s, "192.0.2.2", "somebody@example.com", wrong), other)
		}
	})
}

// A client cannot get another budget with a header: neither without a proxy, nor with the header
// that the proxy does not write.
func TestForgedHeadersShareABudget(t *testing.T) {
	login := func(t *testing.T, s *servertest.Server, email string, headers ...string) servertest.Response {
		t.Helper()
		headers = append([]string{"Content-Type", asJSON}, headers...)
		return s.Do(t, http.MethodPost, "/auth/login", fmt.Sprintf(`{"email":%q,"password":%q}`, email, wrong), headers...)
	}
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for name, test := range map[string]struct {
			trusted bool
			written []string // by the proxy
			forged  func(ip string) []string
		}{
			"X-Forwarded-For without a proxy": {forged: func(ip string) []string { return []string{"X-Forwarded-For", ip} }},
			"Forwarded without a proxy":       {forged: func(ip string) []string { return []string{"Forwarded", "for=" + ip} }},
			"X-Real-IP without a proxy":       {forged: func(ip string) []string { return []string{"X-Real-IP", ip} }},
			"Forwarded through a proxy that writes X-Forwarded-For": {true, []string{"X-Forwarded-For", "192.0.2.1"},
				func(ip string) []string { return []string{"Forwarded", "for=" + ip} }},
			"X-Forwarded-For through a proxy that writes Forwarded": {true, []string{"Forwarded", "for=192.0.2.1"},
				func(ip string) []string { return []string{"X-Forwarded-For", ip} }},
		} {
			s := servertest.Start(t, engine, servertest.Options{Throttle: true, BehindProxy: test.trusted})
			s.Clock.Stop()
			for i := range 20 {
				headers := append(test.forged(fmt.Sprintf("198.51.100.%d", i)), test.written...)
				if got := login(t, s, fmt.Sprintf("nobody%d@example.com", i), headers...).Status; got != http.StatusUnauthorized {
					t.Fatalf("%s: login %d: %d", name, i+1, got)
				}
			}
			headers := append(test.forged("198.51.100.99"), test.written...)
			if got := login(t, s, "nobody@example.com", headers...).Status; got != http.StatusTooManyRequests {
				t.Errorf("%s: another address is not throttled: %d", name, got)
			}
			if !test.trusted {
				continue
			}
			if got := login(t, s, "somebody@example.com", test.written...).Status; got != http.StatusUnauthorized {
				t.Errorf("%s: a client that forges nothing: %d", name, got)
			}
		}
	})
}
