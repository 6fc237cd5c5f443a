package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// An update is a JSON Merge Patch (RFC 7396): what is absent stays, and null removes the bio.
func TestUpdateAccount(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		tokens := s.Login(t, email)
		patch := func(body string) servertest.Response {
			return s.Do(t, http.MethodPatch, "/auth/account", body, "Content-Type", asJSON,
				"Authorization", "Bearer "+tokens.Access)
		}
		expect := func(response servertest.Response, name string, bio any) {
			t.Helper()
			account := s.As(t, tokens.Access, http.MethodGet, "/auth/account")
			if response.Status != http.StatusOK || account.Raw != response.Raw ||
				account.Text("name") != name || account.Body["bio"] != bio || account.Text("email") != email {
				t.Errorf("%d %s, then %s; want %q and %v", response.Status, response.Raw, account.Raw, name, bio)
			}
		}
		expect(patch(`{}`), "Ada", nil)
		expect(patch(`{"bio":"Wrote the first program"}`), "Ada", "Wrote the first program")
		expect(patch(`{"name":"Ada King"}`), "Ada King", "Wrote the first program")
		expect(patch(`{"bio":null}`), "Ada King", nil)
		expect(patch(`{"bio":""}`), "Ada King", "")
		expect(patch(`{"email":"eve@example.com","id":"x","emailVerified":true,"name":"Ada"}`), "Ada", "")
		for body, pointer := range map[string]string{
			`{"name":null}`: "/name wrong_type", `{"name":""}`: "/name too_short", `{"bio":1}`: "/bio wrong_type",
			`{"name":"` + strings.Repeat("a", 101) + `"}`: "/name too_long",
			`{"bio":"` + strings.Repeat("a", 501) + `"}`:  "/bio too_long",
		} {
			response := patch(body)
			if found := strings.Join(response.Errors(), ","); response.Status != 400 || !strings.HasPrefix(found, pointer+":") {
				t.Errorf("%s: %d %s", body, response.Status, response.Raw)
			}
		}
		expect(patch(`{}`), "Ada", "")
		events := 0
		for _, event := range recorded(t, s) {
			if event.Kind == audit.UpdateAccount {
				events++
			}
		}
		if events != 1 { // a client can update as often as it wants
			t.Errorf("%d events", events)
		}
	})
}

// The ids and the verified email in the responses of account, authenticate and check are the same.
func TestAccountAndAccess(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		s.Clock.Stop()
		email := s.NewUser(t)
		user, err := s.Auth.FindUser(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		for _, verified := range []bool{false, true} {
			if verified {
				if _, err := s.Auth.VerifyUser(t.Context(), user.ID); err != nil {
					t.Fatal(err)
				}
			}
			tokens := s.Login(t, email)
			account := s.As(t, tokens.Access, http.MethodGet, "/auth/account")
			created, err := time.Parse(time.RFC3339, account.Text("createdAt"))
			if account.Text("id") != user.ID.String() || account.Body["emailVerified"] != verified || err != nil ||
				!created.Equal(user.CreatedAt) || account.Body["pendingEmail"] != nil {
				t.Errorf("account: %s", account.Raw)
			}
			welcome := s.Authenticate(t, tokens.Access)
			_, current := listSessions(t, s, tokens.Access)
			if welcome.Text("userId") != user.ID.String() || welcome.Body["emailVerified"] != verified ||
				welcome.Text("sessionId") != current {
				t.Errorf("authenticate: %s", welcome.Raw)
			}
			check := s.As(t, tokens.Access, http.MethodGet, "/auth/check")
			isVerified := map[bool]string{false: "false", true: "true"}[verified]
			for name, want := range map[string]string{
				"X-User-Id": user.ID.String(), "X-User-Email": email, "X-User-Email-Verified": isVerified,
				"X-Session-Id": current,
			} {
				if got := check.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
	})
}
