package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// X-Forwarded-For is used if it comes from a trusted proxy. Otherwise it is ignored, and logged
// once.
func TestForwardedIP(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for trusted, want := range map[bool]string{true: "203.0.113.9", false: "127.0.0.1"} {
			s := servertest.Start(t, engine, servertest.Options{BehindProxy: trusted})
			email := s.NewUser(t)
			if strings.Contains(s.Log.String(), "SESAME_TRUSTED_PROXIES") {
				t.Error("warned without a reason")
			}
			for range 2 {
				response := s.Do(t, http.MethodPost, "/auth/login", `{"email":"`+email+`","password":"`+servertest.Password+`"}`,
					"Content-Type", asJSON, "X-Forwarded-For", "198.51.100.1", "X-Forwarded-For", "203.0.113.9")
				if response.Status != http.StatusOK {
					t.Fatalf("login: %d %s", response.Status, response.Raw)
				}
			}
			var session auth.Session
			if err := s.DB.WithContext(t.Context()).Take(&session).Error; err != nil || session.IP != want {
				t.Errorf("trusted %v: the client is %q, %v", trusted, session.IP, err)
			}
			wantWarnings := 1
			if trusted {
				wantWarnings = 0
			}
			if warnings := strings.Count(s.Log.String(), "SESAME_TRUSTED_PROXIES"); warnings != wantWarnings {
				t.Errorf("trusted %v: %d warnings", trusted, warnings)
			}
		}
	})
}
