package httpapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

const listed = "https://app.example.com"

// origins are Origin headers that a browser or an attacker may send, and whether the origin is
// listed.
var origins = map[string]struct {
	headers []string
	listed  bool
}{
	"listed":             {[]string{"Origin", listed}, true},
	"listed with port":   {[]string{"Origin", "http://localhost:3000"}, true},
	"unlisted":           {[]string{"Origin", "https://evil.example"}, false},
	"none":               {nil, false},
	"null":               {[]string{"Origin", "null"}, false},
	"empty":              {[]string{"Origin", ""}, false},
	"a longer name":      {[]string{"Origin", listed + ".evil.example"}, false},
	"another prefix":     {[]string{"Origin", "https://evil-app.example.com"}, false},
	"a sub-domain":       {[]string{"Origin", "https://a.app.example.com"}, false},
	"the parent":         {[]string{"Origin", "https://example.com"}, false},
	"another port":       {[]string{"Origin", listed + ":8443"}, false},
	"the default port":   {[]string{"Origin", listed + ":443"}, false},
	"without its port":   {[]string{"Origin", "http://localhost"}, false},
	"another scheme":     {[]string{"Origin", "http://app.example.com"}, false},
	"upper case":         {[]string{"Origin", "https://APP.example.com"}, false},
	"a slash behind":     {[]string{"Origin", listed + "/"}, false},
	"two in one header":  {[]string{"Origin", listed + " https://evil.example"}, false},
	"two, listed first":  {[]string{"Origin", listed, "Origin", "https://evil.example"}, false},
	"two, listed second": {[]string{"Origin", "https://evil.example", "Origin", listed}, false},
}

// expectCORS checks that a page can read the response if and only if its origin is listed.
func expectCORS(t *testing.T, name string, response servertest.Response, headers []string, listed bool) {
	t.Helper()
	want := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Expose-Headers": ""}
	if listed {
		want["Access-Control-Allow-Origin"] = headers[1]
		want["Access-Control-Expose-Headers"] = "Retry-After, WWW-Authenticate, X-Request-Id"
	}
	for header, value := range want {
		if got := strings.Join(response.Header.Values(header), "|"); got != value {
			t.Errorf("%s: %d, %s is %q, want %q", name, response.Status, header, got, value)
		}
	}
	if vary := response.Header.Values("Vary"); len(vary) == 0 || vary[0] != "Origin" {
		t.Errorf("%s: %d, Vary is %q", name, response.Status, vary)
	}
	for _, header := range []string{
		"Access-Control-Allow-Credentials", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
		"Access-Control-Max-Age",
	} {
		if response.Header.Get(header) != "" {
			t.Errorf("%s: %s is %q", name, header, response.Header.Get(header))
		}
	}
}

// A page of a listed origin can read every response, including errors. Pages of other origins can
// read none.
func TestCORSOrigins(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		options := servertest.Options{CORSOrigins: listed + ",http://localhost:3000"}
		s := servertest.Start(t, engine, options)
		tokens := s.Login(t, s.NewUser(t))
		broken := s.StartAnother(t, engine, servertest.Options{
			CORSOrigins: options.CORSOrigins, WithoutKeys: true, NoHashing: true,
		})
		limited := s.StartAnother(t, engine, servertest.Options{CORSOrigins: options.CORSOrigins, Throttle: true})
		login := `{"email":"nobody@example.com","password":"a wrong password"}`
		for range 10 {
			limited.Do(t, http.MethodPost, "/auth/login", login, "Content-Type", asJSON)
		}
		for name, origin := range origins {
			for _, test := range []struct {
				status             int
				server             *servertest.Server
				method, path, body string
				headers            []string
			}{
				{200, s, "POST", "/auth", "", []string{"Authorization", "Bearer " + tokens.Access}},
				{200, s, "GET", "/reset-password", "", nil},
				{400, s, "POST", "/auth/login", "{", []string{"Content-Type", asJSON}},
				{401, s, "POST", "/auth", "", nil},
				{401, s, "POST", "/auth/login", login, []string{"Content-Type", asJSON}},
				{404, s, "GET", "/nothing", "", nil},
				{405, s, "GET", "/auth", "", nil},
				{413, s, "POST", "/auth/login", strings.Repeat(" ", 17<<10), []string{"Content-Type", asJSON}},
				{415, s, "POST", "/auth/login", login, []string{"Content-Type", "text/plain"}},
				{429, limited, "POST", "/auth/login", login, []string{"Content-Type", asJSON}},
				{500, broken, "GET", "/.well-known/jwks.json", "", nil},
				{503, broken, "POST", "/auth/login", login, []string{"Content-Type", asJSON}},
			} {
				headers := slices.Concat(test.headers, origin.headers)
				response := test.server.Do(t, test.method, test.path, test.body, headers...)
				if response.Status != test.status {
					t.Fatalf("%s: %s %s: %d %s, want %d",
						name, test.method, test.path, response.Status, response.Raw, test.status)
				}
				expectCORS(t, name, response, origin.headers, origin.listed)
			}
		}
	})
}

// Preflights of a listed origin succeed for every operation, and for nothing else.
func TestPreflights(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{CORSOrigins: listed + ",http://localhost:3000"})
		const requested = "authorization,content-type,traceparent"
		preflight := func(path, method string, origin []string) servertest.Response {
			headers := append([]string{
				"Access-Control-Request-Method", method, "Access-Control-Request-Headers", requested,
			}, origin...)
			response := s.Do(t, http.MethodOptions, path, "", headers...)
			want := []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"}
			if vary := response.Header.Values("Vary"); !slices.Equal(vary, want) {
				t.Errorf("preflight of %s %s: Vary is %q", method, path, vary)
			}
			return response
		}
		for name, origin := range origins {
			for _, operation := range servertest.Document().Operations() {
				method, path := operation.Method, operation.Path
				response := preflight(path, method, origin.headers)
				if !origin.listed {
					expectCORS(t, name, response, origin.headers, false)
					continue
				}
				if response.Status != http.StatusNoContent || response.Raw != "" {
					t.Errorf("%s: %s: %d %s", name, operation.ID, response.Status, response.Raw)
				}
				for header, want := range map[string]string{
					"Access-Control-Allow-Origin":      origin.headers[1],
					"Access-Control-Allow-Methods":     method,
					"Access-Control-Allow-Headers":     requested,
					"Access-Control-Max-Age":           "7200",
					"Access-Control-Allow-Credentials": "",
				} {
					if got := response.Header.Get(header); got != want {
						t.Errorf("%s: %s: %s is %q, want %q", name, operation.ID, header, got, want)
					}
				}
			}
		}
		for request, want := range map[string]int{
			"DELETE /auth": 405, "GET /auth/login": 405, "OPTIONS /auth": 405, "post /auth": 405,
			"GET /openapi.yaml": 405, "GET /reset-password": 405, "GET /problems/x": 405,
			"POST /nothing": 404, "POST /auth/nothing": 404, "POST *": 404,
		} {
			method, path, _ := strings.Cut(request, " ")
			if path == "*" {
				path = "/*"
			}
			response := preflight(path, method, []string{"Origin", listed})
			if response.Status != want || response.Header.Get("Access-Control-Allow-Methods") != "" ||
				response.Code() == "" {
				t.Errorf("preflight of %s: %d %s %v", request, response.Status, response.Raw, response.Header)
			}
		}
		// OPTIONS without Access-Control-Request-Method is not a preflight.
		response := s.Do(t, http.MethodOptions, "/auth", "", "Origin", listed)
		if response.Status != http.StatusNoContent || !strings.Contains(response.Header.Get("Allow"), "POST") ||
			response.Header.Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("OPTIONS: %d %v", response.Status, response.Header)
		}
	})
}

// A preflight allows exactly the headers that it names, if all of them are names of headers.
func TestPreflightHeaders(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{CORSOrigins: listed})
		longest := strings.Repeat("a", 1024)
		for requested, allowed := range map[string]bool{
			"":              false,
			"authorization": true,
			"authorization,baggage,content-type,sentry-trace,traceparent,tracestate": true,
			"Authorization, \tX-Custom_Header":                                       true,
			"!#$%&'*+-.^_`|~09azAZ":                                                  true,
			longest:                                                                  true,
			longest + "a":                                                            false,
			"a,":                                                                     false,
			",a":                                                                     false,
			"a b":                                                                    false,
			"a:b":                                                                    false,
			"a;b":                                                                    false,
			"(a)":                                                                    false,
			"ä":                                                                      false,
			"traceparent,\"x\"":                                                      false,
		} {
			headers := []string{"Origin", listed, "Access-Control-Request-Method", "POST"}
			if requested != "" {
				headers = append(headers, "Access-Control-Request-Headers", requested)
			}
			response := s.Do(t, http.MethodOptions, "/auth", "", headers...)
			var want []string
			if allowed {
				want = []string{requested}
			}
			if got := response.Header.Values("Access-Control-Allow-Headers"); !slices.Equal(got, want) ||
				response.Status != http.StatusNoContent {
				t.Errorf("%q: %d, allowed are %q", requested, response.Status, got)
			}
		}
	})
}

// Pages of every origin can read the OpenAPI document, the metadata and the public keys, whether
// CORS is configured or not. If it is not, no other response has CORS headers.
func TestCORSOff(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for name, origin := range origins {
			headers := append([]string{"Access-Control-Request-Method", "POST"}, origin.headers...)
			for method, path := range map[string]string{
				"POST": "/auth", "GET": "/nothing", "PUT": "/auth/login", "OPTIONS": "/auth",
			} {
				response := s.Do(t, method, path, "", headers...)
				for header := range response.Header {
					if strings.HasPrefix(header, "Access-Control-") || header == "Vary" {
						t.Errorf("%s: %s %s returns %s", name, method, path, header)
					}
				}
			}
		}
		configured := s.StartAnother(t, engine, servertest.Options{CORSOrigins: listed})
		for _, server := range []*servertest.Server{s, configured} {
			for name, origin := range origins {
				for _, path := range []string{
					"/.well-known/jwks.json", "/.well-known/oauth-authorization-server",
					"/.well-known/openid-configuration", "/openapi.yaml", "/openapi.json",
				} {
					response := server.Do(t, http.MethodGet, path, "", origin.headers...)
					got := response.Header.Values("Access-Control-Allow-Origin")
					if response.Status != http.StatusOK || len(got) != 1 || got[0] != "*" {
						t.Errorf("%s: %s: %d, Access-Control-Allow-Origin %q", name, path, response.Status, got)
					}
				}
			}
		}
	})
}

func TestParseOrigins(t *testing.T) {
	for text, want := range map[string][]string{
		"":                             nil,
		" , ":                          nil,
		"https://app.example.com":      {"https://app.example.com"},
		"http://a, https://b:8443 ,":   {"http://a", "https://b:8443"},
		"http://127.0.0.1:3000":        {"http://127.0.0.1:3000"},
		"http://[::1]:3000":            {"http://[::1]:3000"},
		"capacitor://localhost":        {"capacitor://localhost"},
		"https://xn--bcher-kva.ch":     {"https://xn--bcher-kva.ch"},
		"https://a,https://a,http://a": {"https://a", "https://a", "http://a"},
	} {
		got, err := httpapi.ParseOrigins(text)
		if err != nil || strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, words := range map[string]string{
		"*":                            "must be an origin, such as",
		"null":                         "must be an origin, such as",
		"app.example.com":              "must be an origin, such as",
		"localhost:3000":               "must be an origin, such as",
		"//app.example.com":            "must be an origin, such as",
		"https://":                     "must be an origin, such as",
		"https://:443":                 "must be an origin, such as",
		"https://a b":                  "must be an origin, such as",
		"file:///":                     "must be an origin, such as",
		"https://*.example.com":        "there are no wildcards",
		"https://*":                    "there are no wildcards",
		"https://bücher.ch":            "must have its host in ASCII",
		"https://a:65536":              "must have a port up to 65535",
		"https://[::1%25eth0]":         "must have a name or an IP address",
		"https://app.example.com/":     "browsers send it as https://app.example.com",
		"https://app.example.com/x?y":  "browsers send it as https://app.example.com",
		"https://u@app.example.com":    "browsers send it as https://app.example.com",
		"https://App.Example.com":      "browsers send it as https://app.example.com",
		"HTTPS://app.example.com":      "browsers send it as https://app.example.com",
		"https://app.example.com:443":  "browsers send it as https://app.example.com",
		"https://app.example.com:":     "browsers send it as https://app.example.com",
		"http://app.example.com:080":   "browsers send it as http://app.example.com",
		"https://app.example.com:0444": "browsers send it as https://app.example.com:444",
		"http://[0::1]:3000":           "browsers send it as http://[::1]:3000",
		"https://a?":                   "browsers send it as https://a",
		"https://a#":                   "browsers send it as https://a",
	} {
		got, err := httpapi.ParseOrigins("https://good.example," + text)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	_, err := httpapi.ParseOrigins("https://a/,null,https://b")
	if err == nil || !strings.Contains(err.Error(), "https://a/") || !strings.Contains(err.Error(), "null") ||
		strings.Contains(err.Error(), "https://b") {
		t.Errorf("the error does not list exactly the invalid origins: %v", err)
	}
}
