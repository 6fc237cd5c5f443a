package httpapi_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Every fault is told at once, by its place and what must hold there, and never by what was submitted.
func TestRegistrationErrors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		long, password := strings.Repeat("é", 501), "ö"+strings.Repeat("ü", 128)
		for name, test := range map[string]struct {
			body   string
			faults []string
		}{
			"everything missing": {`{}`, []string{"/confirm required: This value is required.", "/email required: This value is required.", "/name required: This value is required.", "/password required: This value is required."}},
			"everything null": {`{"name":null,"bio":null,"email":null,"password":null,"confirm":null}`,
				[]string{"/confirm wrong_type: This value must not be null.", "/email wrong_type: This value must not be null.", "/name wrong_type: This value must not be null.", "/password wrong_type: This value must not be null."}},
			"everything of another type": {`{"name":1,"bio":[],"email":{},"password":["canary-password"],"confirm":true}`,
				[]string{"/bio wrong_type: This value must be a string.", "/confirm wrong_type: This value must be a string.", "/email wrong_type: This value must be a string.", "/name wrong_type: This value must be a string.", "/password wrong_type: This value must be a string."}},
			"everything too short": {`{"name":"","email":"","password":"canary7","confirm":"canary7"}`,
				[]string{"/email invalid_format: This is not a valid email email.", "/name too_short: This value must not be empty.", "/password too_short: This value must have at least 8 characters."}},
			"everything too long": {fmt.Sprintf(`{"name":%q,"bio":%q,"email":%q,"password":%q,"confirm":%q}`, long[:202], long, "a@"+long[:510], password, password),
				[]string{"/bio too_long: This value must have at most 500 characters.", "/confirm too_long: This value must have at most 128 characters.", "/email invalid_format: This is not a valid email email.",
					"/email too_long: This value must have at most 254 characters.", "/name too_long: This value must have at most 100 characters.", "/password too_long: This value must have at most 128 characters."}},
			"confirm differs, and more": {`{"name":"Ada","email":"nobody","password":"canary-password","confirm":"canary-passwore"}`,
				[]string{"/confirm not_equal: This value must be the same as password.", "/email invalid_format: This is not a valid email email."}},
			"confirm differs, beside what the contract does not know": {`{"x":[1e308],"name":"Ada","email":"a@example.com","password":"canary-password","confirm":"canary-passwore"}`,
				[]string{"/confirm not_equal: This value must be the same as password."}},
			"names in another case": {`{"Name":"Ada","EMAIL":"a@example.com","Password":"canary-password","CONFIRM":"canary-password"}`,
				[]string{"/confirm required: This value is required.", "/email required: This value is required.", "/name required: This value is required.", "/password required: This value is required."}},
		} {
			response := s.Do(t, http.MethodPost, "/auth/register", test.body, "Content-Type", asJSON)
			faults := response.Errors()
			slices.Sort(faults)
			if response.Status != http.StatusBadRequest || !slices.Equal(faults, test.faults) {
				t.Errorf("%s: %d\n got %q\nwant %q", name, response.Status, faults, test.faults)
			}
			if strings.Contains(response.Raw, "canary") {
				t.Errorf("%s: what was submitted came back: %s", name, response.Raw)
			}
		}
		if response := s.Post(t, "/auth/register", "name", "Ada", "email", "bell@example.com", "password", "bell\a bell\a", "confirm", "bell\a bell\a"); response.Code() != "weak_password" {
			t.Errorf("a control character: %d %s", response.Status, response.Raw)
		}
		for _, allowed := range []string{
			fmt.Sprintf(`{"name":%q,"bio":%q,"email":"long@example.com","password":%q,"confirm":%[3]q}`, long[:200], long[:1000], password[:256]),
			`{"name":"A","bio":null,"email":"short@example.com","password":"1 3 5 78","confirm":"1 3 5 78"}`,
		} {
			if response := s.Do(t, http.MethodPost, "/auth/register", allowed, "Content-Type", asJSON); response.Status != http.StatusCreated {
				t.Errorf("at the limits: %d %s", response.Status, response.Raw)
			}
		}
	})
}

func TestInvalidEmails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, email := range []string{"", "a", "@", "a@", "@b", "a@b@c", "a b@example.com", "a@example..com", ".a@example.com", "a..b@example.com",
			"a@-example.com", "a@example.com.", " a@example.com", "a@example.com\n", "Ada <a@example.com>", `"a b"@example.com`, "a@[127.0.0.1]",
			"ａda@example.com", "ada@exämple.com", "ada@example.com\r\nBcc: b@example.com", strings.Repeat("a", 65) + "@example.com"} {
			for _, path := range []string{"/auth/register", "/auth/forgot-password"} {
				response := s.Post(t, path, "name", "Ada", "email", email, "password", servertest.Password, "confirm", servertest.Password)
				if response.Status != http.StatusBadRequest || !slices.Contains(response.Errors(), "/email invalid_format: This is not a valid email email.") {
					t.Errorf("%s with %q: %d %s", path, email, response.Status, response.Raw)
				}
			}
		}
	})
}

// An unknown field sets nothing, whatever it is called.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		response := s.Do(t, http.MethodPost, "/auth/register", `{"name":"Ada","email":"ada@example.com","password":"correct horse","confirm":"correct horse",
			"id":"00000000-0000-7000-8000-000000000001","ID":"00000000-0000-7000-8000-000000000001","generation":7,"Generation":7,"role":"admin",
			"disabled_at":"2020-01-01T00:00:00Z","passwordHash":"x","password_hash":"x","PASSWORD":"another password","EMAIL":"another@example.com"}`, "Content-Type", asJSON)
		if response.Status != http.StatusCreated {
			t.Fatalf("%d %s", response.Status, response.Raw)
		}
		var user auth.User
		if err := s.DB.WithContext(t.Context()).Where("email = ?", "ada@example.com").Take(&user).Error; err != nil {
			t.Fatal(err)
		}
		if user.ID.String() == "00000000-0000-7000-8000-000000000001" || user.Generation != 1 || user.DisabledAt != nil {
			t.Errorf("the user is %+v", user)
		}
		if response := s.Post(t, "/auth/login", "email", "ada@example.com", "password", "correct horse"); response.Status != http.StatusOK {
			t.Errorf("the validated password does not log in: %d", response.Status)
		}
	})
}

func TestResetTokenParameter(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for query, want := range map[string]string{
			"":                                    "?token required: This value is required.",
			"?token=":                             "?token too_short: This value must not be empty.",
			"?TOKEN=a":                            "?token required: This value is required.",
			"?token=a&token=b":                    "?token duplicate: This parameter must be given only once.",
			"?token=" + strings.Repeat("a", 8193): "?token too_long: This value must have at most 8192 characters.",
		} {
			response := s.Do(t, http.MethodPost, "/auth/reset-password"+query, `{"password":"correct horse"}`, "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest || !slices.Contains(response.Errors(), want) {
				t.Errorf("%.20s: %d %s", query, response.Status, response.Raw)
			}
		}
	})
}

// A bearer token comes in one Authorization header, and nowhere else (RFC 6750, section 2).
func TestBearer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		const bare, invalid = `Bearer realm="sesame"`, `Bearer realm="sesame", error="invalid_token"`
		for name, test := range map[string]struct {
			path, body string
			headers    []string
			status     int
			challenge  string
		}{
			"the header":       {"/auth", "", []string{"Authorization", "Bearer " + tokens.Access}, 200, ""},
			"in another case":  {"/auth", "", []string{"authorization", "bearer " + tokens.Access}, 200, ""},
			"with a body":      {"/auth", `{"a":`, []string{"Authorization", "Bearer " + tokens.Access}, 200, ""},
			"no header":        {"/auth", "", nil, 401, bare},
			"the query":        {"/auth?access_token=" + tokens.Access, "", nil, 401, bare},
			"a form":           {"/auth", "access_token=" + tokens.Access, []string{"Content-Type", "application/x-www-form-urlencoded"}, 401, bare},
			"two headers":      {"/auth", "", []string{"Authorization", "Bearer " + tokens.Access, "Authorization", "Bearer " + tokens.Access}, 401, invalid},
			"another scheme":   {"/auth", "", []string{"Authorization", "Basic " + tokens.Access}, 401, invalid},
			"no scheme":        {"/auth", "", []string{"Authorization", tokens.Access}, 401, invalid},
			"nothing":          {"/auth", "", []string{"Authorization", "Bearer "}, 401, invalid},
			"two tokens":       {"/auth", "", []string{"Authorization", "Bearer " + tokens.Access + ", Bearer " + tokens.Access}, 401, invalid},
			"a refresh token":  {"/auth", "", []string{"Authorization", "Bearer " + tokens.Refresh}, 401, invalid},
			"too long a token": {"/auth", "", []string{"Authorization", "Bearer " + strings.Repeat("a", 9000)}, 401, invalid},
		} {
			response := s.Do(t, http.MethodPost, test.path, test.body, test.headers...)
			if response.Status != test.status || response.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s: %d, WWW-Authenticate %q", name, response.Status, response.Header.Get("WWW-Authenticate"))
			}
		}
	})
}
