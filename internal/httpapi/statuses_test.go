package httpapi_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// validRequest is a request of an operation with a body. REFRESH stands for a refresh token, LOGIN
// for a login token, and ASSERTION for a browser's answer with an unknown passkey.
type validRequest struct {
	path, body string
	method     string // empty: POST
	optional   bool   // an empty object is valid, too
}

// operations are the operations that have a request body, by id, each with a valid request. With
// the access token of a user with Password, none of them ends the session.
var operations = map[string]validRequest{
	"register": {path: "/auth/register", body: `{"name":"Ada","email":"new@example.com",` +
		`"password":"correct horse","confirm":"correct horse"}`},
	"login":          {path: "/auth/login", body: `{"email":"new@example.com","password":"correct horse"}`},
	"logout":         {path: "/auth/logout", body: `{"refreshToken":"REFRESH"}`},
	"refreshTokens":  {path: "/auth/refresh-tokens", body: `{"refreshToken":"REFRESH"}`},
	"forgotPassword": {path: "/auth/forgot-password", body: `{"email":"new@example.com"}`},
	"resetPassword":  {path: "/auth/reset-password?token=x", body: `{"password":"correct horse"}`},
	"updateAccount":  {path: "/auth/account", method: http.MethodPatch, body: `{"name":"Grace"}`, optional: true},
	"changePassword": {
		path: "/auth/change-password", body: `{"currentPassword":"wrong","password":"correct horse"}`,
	},
	"deleteAccount":             {path: "/auth/delete-account", body: `{"password":"wrong"}`},
	"sendVerificationEmail":     {path: "/auth/send-verification-email", body: `{"email":"new@example.com"}`},
	"verifyEmail":               {path: "/auth/verify-email", body: `{"token":"x","password":"correct horse"}`},
	"changeEmail":               {path: "/auth/change-email", body: `{"email":"next@example.com","password":"wrong"}`},
	"confirmEmailChange":        {path: "/auth/confirm-email-change", body: `{"token":"x","password":"correct horse"}`},
	"undoEmailChange":           {path: "/auth/undo-email-change", body: `{"token":"x"}`},
	"checkEmailLink":            {path: "/auth/check-email-link", body: `{"token":"x"}`},
	"completeLogin":             {path: "/auth/login/second-factor", body: `{"loginToken":"LOGIN","code":"000000"}`},
	"reauthenticate":            {path: "/auth/reauthenticate", body: `{"password":"wrong"}`},
	"confirmTOTP":               {path: "/auth/factors/totp/confirm", body: `{"code":"000000"}`},
	"finishPasskeyRegistration": {path: "/auth/passkeys", body: `{"credential":` + anyCredential + `}`},
	"renamePasskey":             {path: "/auth/passkeys/x", method: http.MethodPatch, body: `{"name":"Phone"}`},
	"finishPasskeyLogin":        {path: "/auth/login/passkey", body: `{"credential":ASSERTION}`},
	"logoutEverywhere":          {path: "/auth/logout-everywhere", body: `{"keepCurrent":true}`, optional: true},
}

// anyCredential has the form of what a browser returns, and is never accepted.
const anyCredential = `{"id":"eA","rawId":"eA","type":"public-key",` +
	`"response":{"clientDataJSON":"e30","attestationObject":"oA"}}`

// fill replaces the placeholders in a body.
func (r validRequest) fill(t *testing.T, body string, tokens servertest.Tokens) string {
	t.Helper()
	body = strings.ReplaceAll(body, "REFRESH", tokens.Refresh)
	body = strings.ReplaceAll(body, "LOGIN", servertest.UnknownLoginToken())
	if strings.Contains(body, "ASSERTION") {
		body = strings.ReplaceAll(body, "ASSERTION", string(servertest.UnknownAssertion(t)))
	}
	return body
}

// send sends the request with another body. headers are alternating names and values.
func (r validRequest) send(
	t *testing.T, s *servertest.Server, tokens servertest.Tokens, body string, headers ...string,
) servertest.Response {
	t.Helper()
	body = r.fill(t, body, tokens)
	headers = append(headers, "Authorization", "Bearer "+tokens.Access)
	return s.Do(t, cmp.Or(r.method, http.MethodPost), r.path, body, headers...)
}

const asJSON = "application/json"

func TestRefusedBodies(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		deep := strings.Repeat("[", 16) + strings.Repeat("]", 16) // in an object: 17 levels
		long := strings.Repeat("a", 16<<10)
		many, zeros := "{", strings.Repeat("0,", 300)+"0],"
		for i := range 150 {
			many += fmt.Sprintf(`"%d":0,`, i)
		}
		tokens := s.Login(t, s.NewUser(t))
		for id, valid := range operations {
			body := valid.body
			for name, test := range map[string]struct {
				body, media string
				status      int
				code        string
			}{
				"nothing":                         {"", asJSON, 400, "validation_failed"},
				"white space":                     {" \n", asJSON, 400, "malformed_body"},
				"not JSON":                        {`{"email":`, asJSON, 400, "malformed_body"},
				"not an object":                   {`[]`, asJSON, 400, "validation_failed"},
				"null":                            {`null`, asJSON, 400, "validation_failed"},
				"empty object":                    {`{}`, asJSON, 400, "validation_failed"},
				"more than one value":             {body + body, asJSON, 400, "malformed_body"},
				"a name twice":                    {`{"x":"a","x":"b",` + body[1:], asJSON, 400, "malformed_body"},
				"a name twice, spelt differently": {`{"\u0078":"a","x":"b",` + body[1:], asJSON, 400, "malformed_body"},
				"not UTF-8":                       {`{"x":"` + "\xff" + `",` + body[1:], asJSON, 400, "malformed_body"},
				"half a surrogate":                {`{"x":"\ud800",` + body[1:], asJSON, 400, "malformed_body"},
				"NUL":                             {`{"x":"a\u0000b",` + body[1:], asJSON, 400, "malformed_body"},
				"a number too large for a double": {`{"x":1e700,` + body[1:], asJSON, 400, "malformed_body"},
				"too deep":                        {`{"x":` + deep + `,` + body[1:], asJSON, 400, "malformed_body"},
				"too many values":                 {`{"x":[` + zeros + body[1:], asJSON, 400, "malformed_body"},
				"too many members":                {many + body[1:], asJSON, 400, "malformed_body"},
				"too large":                       {`{"x":"` + long + `",` + body[1:], asJSON, 413, "content_too_large"},
				"a form":                          {"email=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"},
				"text":                            {body, "text/plain", 415, "unsupported_media_type"},
				"another charset":                 {body, "application/json; charset=utf-16", 415, "unsupported_media_type"},
			} {
				if valid.optional && name == "empty object" {
					continue
				}
				response := valid.send(t, s, tokens, test.body, "Content-Type", test.media)
				if response.Status != test.status || response.Code() != test.code {
					t.Errorf("%s, %s: %d %s, want %d %s", id, name, response.Status, response.Raw, test.status, test.code)
				}
			}
		}
	})
}

// A body of 16 levels and of 16 KiB is not refused for that.
func TestLargestBodies(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		deep := strings.Repeat("[", 15) + strings.Repeat("]", 15)
		for id, valid := range operations {
			tokens := servertest.Tokens{Access: s.Login(t, s.NewUser(t)).Access, Refresh: "REFRESH"}
			body := valid.fill(t, valid.body, tokens)
			padded := func(value string) string { return `{"x":` + value + `,` + body[1:] }
			plain := valid.send(t, s, tokens, body, "Content-Type", asJSON).Code()
			for name, largest := range map[string]string{
				"16 levels": padded(deep),
				"16 KiB":    padded(`"` + strings.Repeat("a", 16<<10-len(padded(`""`))) + `"`),
			} {
				code := valid.send(t, s, tokens, largest, "Content-Type", asJSON).Code()
				if id != "register" && code != plain || code == "malformed_body" || code == "content_too_large" {
					t.Errorf("%s, %s: %s, want %s", id, name, code, plain)
				}
			}
		}
	})
}

// The type of a body must be clear, and the server decompresses nothing.
func TestRefusedHeadersOfBodies(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		for id, valid := range operations {
			for name, headers := range map[string][]string{
				"no type":             nil,
				"two types":           {"Content-Type", asJSON, "Content-Type", "text/plain"},
				"the same type twice": {"Content-Type", asJSON, "Content-Type", asJSON},
				"compressed":          {"Content-Type", asJSON, "Content-Encoding", "gzip"},
				"not compressed":      {"Content-Type", asJSON, "Content-Encoding", "identity"},
			} {
				response := valid.send(t, s, tokens, valid.body, headers...)
				if response.Status != http.StatusUnsupportedMediaType || response.Code() != "unsupported_media_type" {
					t.Errorf("%s, %s: %d %s", id, name, response.Status, response.Raw)
				}
			}
		}
	})
}

// A User-Agent is stored in a form that both databases can store: up to 256 bytes of valid UTF-8.
func TestStoredUserAgent(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		email := s.NewUser(t)
		for sent, want := range map[string]string{
			"curl/8.0 (é)":                     "curl/8.0 (é)",
			"a\xffb\xc3":                       "ab",
			strings.Repeat("a", 1000):          strings.Repeat("a", 256),
			"a" + strings.Repeat("é", 200):     "a" + strings.Repeat("é", 127), // not half a character
			strings.Repeat("\xff", 300) + "ab": "",
		} {
			login := fmt.Sprintf(`{"email":%q,"password":%q}`, email, servertest.Password)
			response := s.Do(t, http.MethodPost, "/auth/login", login, "Content-Type", asJSON, "User-Agent", sent)
			if response.Status != http.StatusOK {
				t.Errorf("%.20q: %d %s", sent, response.Status, response.Raw)
			}
			var stored string
			newest := s.DB.WithContext(t.Context()).Model(&auth.Session{}).Order("id DESC").Limit(1)
			if err := newest.Pluck("user_agent", &stored).Error; err != nil || stored != want {
				t.Errorf("%.20q is stored as %q, want %q (%v)", sent, stored, want, err)
			}
		}
	})
}

// A chunked body has no Content-Length, but the server still stops reading at the limit.
func TestEndlessBodyIsCutOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		endless := &endlessReader{limit: 100 << 20}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/auth/login", endless)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", asJSON)
		if response := s.Send(t, request); response.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d", response.Status)
		}
		if read := endless.read.Load(); read > 10<<20 {
			t.Errorf("the server read %d bytes", read)
		}
	})
}

// An operation without a request body ignores one, also if it is too large or not JSON.
func TestBodiesOfOperationsWithoutOne(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		bearer := "Bearer " + s.Login(t, s.NewUser(t)).Access
		for _, body := range []string{"", "{", "\xff", strings.Repeat(" ", 16<<10+1), strings.Repeat("a", 1<<20)} {
			for authorization, want := range map[string]int{bearer: 200, "Bearer x": 401} {
				response := s.Do(t, http.MethodPost, "/auth", body, "Authorization", authorization, "Content-Type", asJSON)
				if response.Status != want {
					t.Errorf("a body of %d bytes: %d %s, want %d", len(body), response.Status, response.Raw, want)
				}
			}
			if response := s.Do(t, http.MethodGet, "/.well-known/jwks.json", body); response.Status != http.StatusOK {
				t.Errorf("GET with a body of %d bytes: %d %s", len(body), response.Status, response.Raw)
			}
		}
		if strings.Contains(s.Log.String(), `"level":"ERROR"`) {
			t.Error("a body is logged as an error of the server")
		}
	})
}

// endlessReader counts the bytes read from it. The client may still read when the response has
// arrived.
type endlessReader struct {
	read  atomic.Int64
	limit int64
}

func (r *endlessReader) Read(p []byte) (int, error) {
	if r.read.Add(int64(len(p))) > r.limit {
		return 0, io.ErrUnexpectedEOF
	}
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// A failing SQL statement and a panic return 500. Their cause is in the log, but not in the
// response.
func TestServerErrors(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{WithoutKeys: true})
		tokens := s.Login(t, s.NewUser(t))
		for _, table := range []string{"outbox", "one_time_tokens", "previous_emails", "passkeys", "sessions", "users"} {
			if err := s.DB.WithContext(t.Context()).Migrator().DropTable(table); err != nil {
				t.Fatal(err)
			}
		}
		expectEverywhere(t, s, tokens, http.StatusInternalServerError, "internal_error")
		// This panics, because the server has no keyring.
		response := s.Do(t, http.MethodGet, "/.well-known/jwks.json", "")
		if response.Status != http.StatusInternalServerError || response.Code() != "internal_error" {
			t.Errorf("keys: %d %s", response.Status, response.Raw)
		}
		log := s.Log.String()
		if strings.Contains(response.Raw, "nil pointer") {
			t.Errorf("the response contains the cause: %s", response.Raw)
		}
		if !strings.Contains(log, "nil pointer") && !strings.Contains(log, "panic") {
			t.Errorf("the log does not contain the cause:\n%s", log)
		}
		id := strings.TrimPrefix(response.Text("instance"), "urn:uuid:")
		if id != response.Header.Get("X-Request-Id") || !strings.Contains(log, id) {
			t.Errorf("the instance %q is not in the log", id)
		}
	})
}

// Without its database every operation returns 503 with Retry-After.
func TestDatabaseUnavailable(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		tokens := s.Login(t, s.NewUser(t))
		s.CloseDatabase(t)
		for _, response := range expectEverywhere(t, s, tokens, http.StatusServiceUnavailable, "unavailable") {
			if response.Header.Get("Retry-After") != "2" {
				t.Errorf("Retry-After is %q", response.Header.Get("Retry-After"))
			}
		}
	})
}

// expectEverywhere calls the operations and expects each to return this problem. It returns the
// responses.
func expectEverywhere(
	t *testing.T, s *servertest.Server, tokens servertest.Tokens, status int, code string,
) []servertest.Response {
	t.Helper()
	var responses []servertest.Response
	for _, operation := range servertest.Document().Operations() {
		if slices.Contains(withoutDatabase, operation.ID) {
			continue
		}
		var response servertest.Response
		if operation.HasBody {
			valid := operations[operation.ID]
			response = valid.send(t, s, tokens, valid.body, "Content-Type", asJSON)
		} else {
			response = s.Do(t, operation.Method, operation.Path, "", "Authorization", "Bearer "+tokens.Access)
		}
		if response.Status != status || response.Code() != code {
			t.Errorf("%s returned %d %s, want %d %s", operation.ID, response.Status, response.Raw, status, code)
		}
		responses = append(responses, response)
	}
	return responses
}

func TestMethodsAndPaths(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		exists := make(map[string]bool)
		for _, operation := range servertest.Document().Operations() {
			exists[operation.Method+operation.Path] = true
		}
		for _, operation := range servertest.Document().Operations() {
			method, path := operation.Method, operation.Path
			for _, other := range []string{"GET", "PUT", "PATCH", "DELETE", "POST", "PROPFIND"} {
				if exists[other+path] {
					continue
				}
				response := s.Do(t, other, path, "")
				allow := response.Header.Get("Allow")
				if response.Status != http.StatusMethodNotAllowed || response.Code() != "method_not_allowed" ||
					!strings.Contains(allow, method) {
					t.Errorf("%s %s: %d %s, Allow %q", other, path, response.Status, response.Raw, allow)
				}
			}
		}
		for _, path := range []string{"/auth/", "/auth/nothing", "/auth/login/", "/problems/nothing", "/assets/nothing"} {
			if response := s.Do(t, http.MethodGet, path, ""); response.Status != http.StatusNotFound {
				t.Errorf("GET %s: %d %s", path, response.Status, response.Raw)
			}
		}
		response := s.Do(t, http.MethodHead, "/.well-known/jwks.json", "")
		if response.Status != http.StatusOK || response.Raw != "" {
			t.Errorf("HEAD of the keys: %d %q", response.Status, response.Raw)
		}
	})
}

// Responses of all routes and statuses have the security headers.
func TestSecurityHeaders(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{WithoutKeys: true})
		s.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		responses := map[string]servertest.Response{
			"201":  s.Register(t, "headers@example.com"),
			"400":  s.Register(t, "headers@example.com"),
			"401":  s.Authenticate(t, "x"),
			"404":  s.Do(t, http.MethodGet, "/nothing", ""),
			"405":  s.Do(t, http.MethodGet, "/auth", ""),
			"413":  s.Do(t, http.MethodPost, "/auth/login", strings.Repeat(" ", 17<<10), "Content-Type", asJSON),
			"415":  s.Do(t, http.MethodPost, "/auth/login", "x"),
			"500":  s.Do(t, http.MethodGet, "/.well-known/jwks.json", ""),
			"page": s.Do(t, http.MethodGet, "/reset-password", ""),
			"type": s.Do(t, http.MethodGet, "/problems/weak_password", ""),
			"docs": s.Do(t, http.MethodGet, "/docs", ""),
			"file": s.Do(t, http.MethodGet, stylesheet(t, s), ""),
			"spec": s.Do(t, http.MethodGet, "/openapi.yaml", ""),
			"json": s.Do(t, http.MethodGet, "/openapi.json", ""),
			"303":  s.Do(t, http.MethodGet, "/.well-known/change-password", ""),
		}
		caching := map[string]string{
			"file": "public, max-age=31536000, immutable",
			"spec": "no-cache",
			"json": "no-cache",
		}
		allowedOrigin := map[string]string{"spec": "*", "json": "*"}
		for name, response := range responses {
			for header, want := range map[string]string{
				"X-Content-Type-Options":    "nosniff",
				"Referrer-Policy":           "no-referrer",
				"Cache-Control":             cmp.Or(caching[name], "no-store"),
				"Strict-Transport-Security": "max-age=63072000; includeSubDomains", // the public URL is https
			} {
				if got := response.Header.Get(header); got != want {
					t.Errorf("%s: %s is %q, want %q", name, header, got, want)
				}
			}
			policy := response.Header.Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") ||
				!strings.Contains(policy, "base-uri 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
				t.Errorf("%s: Content-Security-Policy is %q", name, policy)
			}
			if len(response.Header.Get("X-Request-Id")) != 36 {
				t.Errorf("%s: no X-Request-Id", name)
			}
			if response.Header.Get("Access-Control-Allow-Origin") != allowedOrigin[name] {
				t.Errorf("%s: wrong Access-Control-Allow-Origin: %v", name, response.Header)
			}
			if response.Header.Get("Server") != "" {
				t.Errorf("%s: the server reveals its software: %v", name, response.Header)
			}
		}
	})
}

// stylesheet returns the path of a page's style sheet.
func stylesheet(t *testing.T, s *servertest.Server) string {
	t.Helper()
	path := regexp.MustCompile(`/?assets/page[^"]+`).FindString(s.Do(t, http.MethodGet, "/reset-password", "").Raw)
	if path == "" {
		t.Fatal("the page has no style sheet")
	}
	return "/" + path
}
