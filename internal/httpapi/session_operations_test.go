package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// listSessions returns the sessions of the user, and the one of the access token.
func listSessions(t *testing.T, s *servertest.Server, accessToken string) (sessions []map[string]any, current string) {
	t.Helper()
	response := s.As(t, accessToken, http.MethodGet, "/auth/sessions")
	if response.Status != http.StatusOK {
		t.Fatalf("sessions: %d %s", response.Status, response.Raw)
	}
	list, _ := response.Body["sessions"].([]any)
	for _, one := range list {
		session, _ := one.(map[string]any)
		sessions = append(sessions, session)
		if isCurrent, _ := session["current"].(bool); isCurrent {
			if current != "" {
				t.Errorf("two current sessions: %s", response.Raw)
			}
			current, _ = session["id"].(string)
		}
	}
	return sessions, current
}

// The list has the live sessions, the newest first, with the times of login and last use.
func TestListSessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{BehindProxy: true})
		s.Clock.Stop()
		email, login := s.NewUser(t), s.Clock.Now()
		body := `{"email":"` + email + `","password":"` + servertest.Password + `"}`
		first := tokensOf(t, s.Do(t, http.MethodPost, "/auth/login", body, "Content-Type", asJSON,
			"User-Agent", "a browser", "X-Forwarded-For", "192.0.2.7"))
		loggedOut, reused, expired := s.Login(t, email), s.Login(t, email), s.Login(t, email)
		s.Login(t, s.NewUser(t)) // somebody else's
		s.Logout(t, loggedOut.Refresh)
		s.Refresh(t, s.Refresh(t, reused.Refresh).Refresh)
		s.TryRefresh(t, reused.Refresh)
		s.Clock.Advance(13 * 24 * time.Hour)
		first = s.Refresh(t, first.Refresh)
		s.Clock.Advance(24*time.Hour + time.Second) // longer than a session lives without a refresh
		s.RequireEnded(t, expired)
		second := s.Login(t, email)

		sessions, current := listSessions(t, s, second.Access)
		if len(sessions) != 2 || sessions[0]["id"] != current {
			t.Fatalf("%d sessions, the current one is %q: %v", len(sessions), current, sessions)
		}
		at := func(name string) time.Time {
			text, _ := sessions[1][name].(string)
			parsed, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Error(err)
			}
			return parsed
		}
		used := login.Add(13 * 24 * time.Hour)
		if sessions[1]["ip"] != "192.0.2.7" || sessions[1]["userAgent"] != "a browser" ||
			!at("createdAt").Equal(login.Truncate(time.Microsecond)) ||
			!at("lastUsedAt").Equal(used.Truncate(time.Microsecond)) ||
			!at("expiresAt").Equal(used.Add(14*24*time.Hour).Truncate(time.Microsecond)) {
			t.Errorf("%v, want a login at %v, used at %v", sessions[1], login, used)
		}
		if _, current := listSessions(t, s, s.Refresh(t, first.Refresh).Access); current != sessions[1]["id"] {
			t.Errorf("the current session of the other token is %q", current)
		}
	})
}

// A list has at most 100 sessions, although concurrent logins may create more.
func TestListOfManySessions(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		db := s.DB.WithContext(t.Context())
		var session auth.Session
		if err := db.Take(&session).Error; err != nil {
			t.Fatal(err)
		}
		for range 120 {
			session.ID = uuid.Must(uuid.NewV7())
			if err := db.Create(&session).Error; err != nil {
				t.Fatal(err)
			}
		}
		if sessions, _ := listSessions(t, s, tokens.Access); len(sessions) != 100 {
			t.Errorf("%d sessions", len(sessions))
		}
	})
}

// Ending a session takes effect on the next request. The ids of sessions that do not exist, have
// ended or belong to somebody else return the same response, except for its id.
func TestRevokeSession(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		other, this := s.Login(t, email), s.Login(t, email)
		stranger := s.Login(t, s.NewUser(t))
		_, otherID := listSessions(t, s, other.Access)
		_, thisID := listSessions(t, s, this.Access)
		_, strangerID := listSessions(t, s, stranger.Access)
		revoke := func(id string) servertest.Response {
			return s.As(t, this.Access, http.MethodDelete, "/auth/sessions/"+id)
		}
		if response := revoke(otherID); response.Status != http.StatusOK {
			t.Fatalf("revoke: %d %s", response.Status, response.Raw)
		}
		s.RequireEnded(t, other)
		s.RequireActive(t, this)
		if sessions, _ := listSessions(t, s, this.Access); len(sessions) != 1 {
			t.Errorf("%d sessions are left", len(sessions))
		}
		seen := ""
		for name, id := range map[string]string{
			"ended": otherID, "somebody else's": strangerID, "unknown": "01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77",
			"malformed": "x", "upper case": strings.ToUpper(thisID), "in braces": "%7B" + thisID + "%7D",
			"zero": "00000000-0000-0000-0000-000000000000", "a path": "..%2F" + thisID, "NUL": "%00",
			"not UTF-8": "%ff", "64 characters": strings.Repeat("a", 64),
		} {
			response := revoke(id)
			if response.Status != http.StatusNotFound || response.Code() != "not_found" {
				t.Errorf("%s: %d %s", name, response.Status, response.Raw)
			}
			same := strings.ReplaceAll(response.Raw, response.Header.Get("X-Request-Id"), "")
			if seen == "" {
				seen = same
			}
			if same != seen {
				t.Errorf("%s: %s, want %s", name, response.Raw, seen)
			}
		}
		if response := revoke(strings.Repeat("a", 65)); response.Status != http.StatusBadRequest {
			t.Errorf("65 characters: %d %s", response.Status, response.Raw)
		}
		s.RequireActive(t, stranger)
		if response := revoke(thisID); response.Status != http.StatusOK {
			t.Errorf("the current session: %d %s", response.Status, response.Raw)
		}
		s.RequireEnded(t, this)
	})
}

// Logging out everywhere ends every session, or every other one, also those that a login or a refresh
// creates or continues meanwhile.
func TestLogoutEverywhere(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		stranger := s.Login(t, s.NewUser(t))
		for i := range racedResets {
			email, keep := s.NewUser(t), i%2 == 0
			this, other := s.Login(t, email), s.Login(t, email)
			attempt := func() servertest.Response { return s.TryRefresh(t, other.Refresh) }
			if i%4 < 2 { // the generation may change before the login, which then succeeds
				attempt = func() servertest.Response { return s.TryRefresh(t, this.Refresh) }
			}
			gained, granted := race(t, attempt, func() servertest.Response {
				return s.As(t, this.Access, http.MethodPost, "/auth/logout-everywhere", "keepCurrent", keep)
			})
			s.RequireEnded(t, other)
			isCurrent := i%4 < 2
			switch {
			case keep && isCurrent:
				if !granted {
					t.Fatal("the current session did not survive a refresh at the same time")
				}
				s.RequireActive(t, gained)
			case keep:
				s.RequireActive(t, this)
			default:
				s.RequireEnded(t, this)
			}
			if granted && (!keep || !isCurrent) {
				s.RequireEnded(t, gained)
			}
		}
		s.RequireActive(t, stranger)
	})
}

// HEAD needs a token like GET, and returns what GET returns.
func TestHeadNeedsAToken(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		for _, path := range []string{"/auth/account", "/auth/account/export", "/auth/sessions", "/auth/check"} {
			if response := s.Do(t, http.MethodHead, path, ""); response.Status != http.StatusUnauthorized {
				t.Errorf("%s without a token: %d", path, response.Status)
			}
			if response := s.As(t, "x", http.MethodHead, path); response.Status != http.StatusUnauthorized {
				t.Errorf("%s with another token: %d", path, response.Status)
			}
			if response := s.As(t, tokens.Access, http.MethodHead, path); response.Status != http.StatusOK {
				t.Errorf("%s with the token: %d", path, response.Status)
			}
		}
	})
}
