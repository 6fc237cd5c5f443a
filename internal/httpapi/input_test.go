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

// A response lists all validation errors with their place, and never contains what was submitted.
func TestRegistrationErrors(t *testing.T) {
	const (
		required     = "required: This value is required."
		isNull       = "wrong_type: This value must not be null."
		notString    = "wrong_type: This value must be a string."
		notAnEmail   = "invalid_format: This is not a valid email address."
		notConfirmed = "/confirm not_equal: This value must be the same as password."
	)
	// each returns the same error for each of the fields.
	each := func(text string, fields ...string) []string {
		errors := make([]string, len(fields))
		for i, field := range fields {
			errors[i] = "/" + field + " " + text
		}
		return errors
	}
	long, password := strings.Repeat("é", 501), "ö"+strings.Repeat("ü", 128)
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for name, test := range map[string]struct {
			body string
			want []string
		}{
			"everything missing": {
				`{}`,
				each(required, "confirm", "email", "name", "password"),
			},
			"everything null": {
				`{"name":null,"bio":null,"email":null,"password":null,"confirm":null}`,
				each(isNull, "confirm", "email", "name", "password"),
			},
			"everything of another type": {
				`{"name":1,"bio":[],"email":{},"password":["canary-password"],"confirm":true}`,
				each(notString, "bio", "confirm", "email", "name", "password"),
			},
			"everything too short": {
				`{"name":"","email":"","password":"canary7","confirm":"canary7"}`,
				[]string{
					"/email " + notAnEmail,
					"/name too_short: This value must not be empty.",
					"/password too_short: This value must have at least 8 characters.",
				},
			},
			"everything too long": {
				fmt.Sprintf(`{"name":%q,"bio":%q,"email":%q,"password":%q,"confirm":%q}`,
					long[:202], long, "a@"+long[:510], password, password),
				[]string{
					"/bio too_long: This value must have at most 500 characters.",
					"/confirm too_long: This value must have at most 128 characters.",
					"/email " + notAnEmail,
					"/email too_long: This value must have at most 254 characters.",
					"/name too_long: This value must have at most 100 characters.",
					"/password too_long: This value must have at most 128 characters.",
				},
			},
			"confirm differs, and more": {
				`{"name":"Ada","email":"nobody","password":"canary-password","confirm":"canary-passwore"}`,
				[]string{notConfirmed, "/email " + notAnEmail},
			},
			"confirm differs, with an unknown field": {
				`{"x":[1e308],"name":"Ada","email":"a@example.com",` +
					`"password":"canary-password","confirm":"canary-passwore"}`,
				[]string{notConfirmed},
			},
			"names in another case": {
				`{"Name":"Ada","EMAIL":"a@example.com","Password":"canary-password","CONFIRM":"canary-password"}`,
				each(required, "confirm", "email", "name", "password"),
			},
		} {
			response := s.Do(t, http.MethodPost, "/auth/register", test.body, "Content-Type", asJSON)
			got := response.Errors()
			slices.Sort(got)
			if response.Status != http.StatusBadRequest || !slices.Equal(got, test.want) {
				t.Errorf("%s: %d\n got %q\nwant %q", name, response.Status, got, test.want)
			}
			if strings.Contains(response.Raw, "canary") {
				t.Errorf("%s: the response contains what was submitted: %s", name, response.Raw)
			}
		}
		const bell = "bell\a bell\a"
		response := s.Post(t, "/auth/register",
			"name", "Ada", "email", "bell@example.com", "password", bell, "confirm", bell)
		if response.Code() != "weak_password" {
			t.Errorf("a control character: %d %s", response.Status, response.Raw)
		}
		for _, allowed := range []string{
			fmt.Sprintf(`{"name":%q,"bio":%q,"email":"long@example.com","password":%q,"confirm":%[3]q}`,
				long[:200], long[:1000], password[:256]),
			`{"name":"A","bio":null,"email":"short@example.com","password":"1 3 5 78","confirm":"1 3 5 78"}`,
		} {
			response := s.Do(t, http.MethodPost, "/auth/register", allowed, "Content-Type", asJSON)
			if response.Status != http.StatusCreated {
				t.Errorf("at the limits: %d %s", response.Status, response.Raw)
			}
		}
	})
}

func TestInvalidEmails(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for _, email := range []string{
			"", "a", "@", "a@", "@b", "a@b@c",
			"a b@example.com", "a@example..com", ".a@example.com", "a..b@example.com", "a@-example.com",
			"a@example.com.", " a@example.com", "a@example.com\n", "Ada <a@example.com>", `"a b"@example.com`,
			"a@[127.0.0.1]", "ａda@example.com", "ada@exämple.com", "ada@example.com\r\nBcc: b@example.com",
			strings.Repeat("a", 65) + "@example.com",
		} {
			for _, path := range []string{"/auth/register", "/auth/forgot-password"} {
				response := s.Post(t, path,
					"name", "Ada", "email", email, "password", servertest.Password, "confirm", servertest.Password)
				const want = "/email invalid_format: This is not a valid email address."
				if response.Status != http.StatusBadRequest || !slices.Contains(response.Errors(), want) {
					t.Errorf("%s with %q: %d %s", path, email, response.Status, response.Raw)
				}
			}
		}
	})
}

// Unknown fields are ignored, also those with the names of columns.
func TestUnknownFieldsAreIgnored(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		response := s.Do(t, http.MethodPost, "/auth/register", `{
			"name":"Ada","email":"ada@example.com","password":"correct horse","confirm":"correct horse",
			"id":"00000000-0000-7000-8000-000000000001","ID":"00000000-0000-7000-8000-000000000001",
			"generation":7,"Generation":7,"role":"admin","disabled_at":"2020-01-01T00:00:00Z",
			"passwordHash":"x","password_hash":"x","PASSWORD":"another password","EMAIL":"another@example.com"
		}`, "Content-Type", asJSON)
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
		response = s.Post(t, "/auth/login", "email", "ada@example.com", "password", "correct horse")
		if response.Status != http.StatusOK {
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
			response := s.Do(t, http.MethodPost, "/auth/reset-password"+query,
				`{"password":"correct horse"}`, "Content-Type", asJSON)
			if response.Status != http.StatusBadRequest || !slices.Contains(response.Errors(), want) {
				t.Errorf("%.20s: %d %s", query, response.Status, response.Raw)
			}
		}
	})
}

// An access token is accepted in one Authorization header only (RFC 6750, section 2).
func TestBearer(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		const bare, invalid = `Bearer realm="sesame"`, `Bearer realm="sesame", error="invalid_token"`
		authorization := func(values ...string) []string {
			var headers []string
			for _, value := range values {
				headers = append(headers, "Authorization", value)
			}
			return headers
		}
		bearer := "Bearer " + tokens.Access
		form := []string{"Content-Type", "application/x-www-form-urlencoded"}
		for name, test := range map[string]struct {
			path, body string
			headers    []string
			status     int
			challenge  string
		}{
			"the header":       {"/auth", "", authorization(bearer), 200, ""},
			"in another case":  {"/auth", "", []string{"authorization", "bearer " + tokens.Access}, 200, ""},
			"with a body":      {"/auth", `{"a":`, authorization(bearer), 200, ""},
			"no header":        {"/auth", "", nil, 401, bare},
			"the query":        {"/auth?access_token=" + tokens.Access, "", nil, 401, bare},
			"a form":           {"/auth", "access_token=" + tokens.Access, form, 401, bare},
			"two headers":      {"/auth", "", authorization(bearer, bearer), 401, invalid},
			"another scheme":   {"/auth", "", authorization("Basic " + tokens.Access), 401, invalid},
			"no scheme":        {"/auth", "", authorization(tokens.Access), 401, invalid},
			"nothing":          {"/auth", "", authorization("Bearer "), 401, invalid},
			"two tokens":       {"/auth", "", authorization(bearer + ", " + bearer), 401, invalid},
			"a refresh token":  {"/auth", "", authorization("Bearer " + tokens.Refresh), 401, invalid},
			"too long a token": {"/auth", "", authorization("Bearer " + strings.Repeat("a", 9000)), 401, invalid},
		} {
			response := s.Do(t, http.MethodPost, test.path, test.body, test.headers...)
			if response.Status != test.status || response.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("%s: %d, WWW-Authenticate %q", name, response.Status, response.Header.Get("WWW-Authenticate"))
			}
		}
	})
}
