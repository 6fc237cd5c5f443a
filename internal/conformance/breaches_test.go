package conformance_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// exchange is a request, and the answer to it as a proxy may change it.
type exchange struct {
	call, query   string // METHOD path, and what is behind it
	bearer, asked string // the access token, the body
	status        int
	header        http.Header
	body          string
}

// proxy stands before a server, lets every request through and changes what is answered.
func proxy(t *testing.T, to string, change func(*exchange)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		request, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.RequestURI, strings.NewReader(string(asked)))
		if err != nil {
			t.Error(err)
		}
		request.Header = r.Header
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return // the client has gone, or is told so by what it does not get
		}
		answered, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Error(err)
		}
		e := &exchange{
			call: r.Method + " " + r.URL.Path, query: r.URL.RawQuery,
			bearer: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), asked: string(asked),
			status: response.StatusCode, header: response.Header, body: string(answered),
		}
		change(e)
		maps.Copy(w.Header(), e.header)
		w.Header().Set("Content-Length", strconv.Itoa(len(e.body)))
		w.WriteHeader(e.status)
		_, _ = io.WriteString(w, e.body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// breach is what a proxy does to some of the answers, while checking what the suite finds it, and what it says.
type breach struct {
	change        func(*exchange)
	check, reason string
}

// breaches are of answers that are not the contract's, or not what must follow from the ones before.
func breaches() map[string]breach {
	return map[string]breach{
		"another status of the contract's":      {status("POST /auth/logout", 200, 400), "logout", "Content-Type"},
		"a status that is not the contract's":   {status("POST /auth/register", 201, 200), "registration", "status"},
		"an error of the server":                {status("POST /auth", 200, 500), "refused registrations", "Content-Type"},
		"a page of the proxy":                   {body("GET /auth/nothing", "<h1>Not found</h1>"), "methods and paths", "invalid character"},
		"another media type":                    {header("POST /auth/register", "Content-Type", "text/plain"), "invalid bodies", "Content-Type"},
		"an error as plain JSON":                {header("GET /auth/nothing", "Content-Type", "application/json"), "methods and paths", "problem+json"},
		"a field more":                          {swap("POST /auth/register", `{"message":"User`, `{"id":7,"message":"User`), "registration", `"id" is unsupported`},
		"a field more, within":                  {swap("POST /auth", `"name":`, `"role":"admin","name":`), "refused registrations", `/user: property "role" is unsupported`},
		"a field less":                          {swap("POST /auth/login", `,"tokenType":"Bearer"`, ``), "refused registrations", `"tokenType" is missing`},
		"a field of another type":               {swap("POST /auth/login", `"expiresIn":900`, `"expiresIn":"900"`), "refused registrations", "/expiresIn: value must be an integer"},
		"a code that clients do not know":       {swap("POST /auth/register", "weak_password", "bad_password"), "refused registrations", "/code: value is not one of"},
		"another code that they know":           {swap("POST /auth/register", "weak_password", "email_taken"), "refused registrations", "code must be weak_password"},
		"no challenge":                          {header("POST /auth", "WWW-Authenticate", ""), "access tokens", "WWW-Authenticate"},
		"a challenge that leaves out the fault": {header("POST /auth", "WWW-Authenticate", `Bearer realm="sesame"`), "access tokens", "must contain error="},
		"a challenge with a fault of nothing": {header("POST /auth", "WWW-Authenticate", `Bearer realm="sesame", error="invalid_token"`),
			"access tokens", "must not contain an error"},
		"no Retry-After":         {header("POST /auth/login", "Retry-After", ""), "rate limits", "Retry-After"},
		"a Retry-After in words": {header("POST /auth/login", "Retry-After", "soon"), "rate limits", "Retry-After"},
		"no Allow":               {header("", "Allow", ""), "methods and paths", "Allow must name"},
		"another Allow":          {header("", "Allow", "OPTIONS"), "methods and paths", "Allow must name"},
		"no request id":          {header("", "X-Request-Id", ""), "OpenAPI document", "X-Request-Id must be"},
		"another request id": {header("", "X-Request-Id", "01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"),
			"methods and paths", "instance must be"},
		"no nosniff":             {header("POST /auth/login", "X-Content-Type-Options", ""), "invalid bodies", "X-Content-Type-Options"},
		"a referrer":             {header("POST /auth/login", "Referrer-Policy", "origin"), "invalid bodies", "Referrer-Policy"},
		"no policy":              {header("POST /auth/login", "Content-Security-Policy", ""), "invalid bodies", "Content-Security-Policy"},
		"frames":                 {header("POST /auth/login", "Content-Security-Policy", "default-src 'none'"), "invalid bodies", "Content-Security-Policy"},
		"answers that are kept":  {header("POST /auth/login", "Cache-Control", "public, max-age=60"), "invalid bodies", "Cache-Control must"},
		"errors that are kept":   {header("GET /auth/nothing", "Cache-Control", "public, max-age=60"), "methods and paths", "Cache-Control must"},
		"keys that are not kept": {header("GET /.well-known/jwks.json", "Cache-Control", ""), "keys", "Cache-Control"},
		"keys for no other page": {header("GET /.well-known/jwks.json", "Access-Control-Allow-Origin", ""), "keys", "Access-Control-Allow-Origin"},

		"another contract":      {swap("GET /openapi.yaml", "1.0.0", "1.0.1"), "OpenAPI document", "of its version"},
		"no key":                {body("GET /.well-known/jwks.json", `{"keys":[]}`), "keys", "there must be a key"},
		"a private key":         {swap("GET /.well-known/jwks.json", `"kid":`, `"d":"x","kid":`), "keys", `"d" is unsupported`},
		"another key":           {swap("GET /.well-known/jwks.json", `"kid":"`, `"kid":"x`), "access tokens", "a service must be able to verify"},
		"keys elsewhere":        {swap("GET /.well-known/oauth-authorization-server", `/.well-known/jwks.json"`, `/jwks.json"`), "keys", "jwks_uri must be"},
		"two kinds of metadata": {swap("GET /.well-known/openid-configuration", `"issuer":"https`, `"issuer":"http`), "keys", "must be the same"},

		"an address as it was typed":            {swap("POST /auth/register", `"email":"c`, `"email":"C`), "registration", "in lower case"},
		"another name":                          {swap("POST /auth/register", `"name":"Conformance"`, `"name":"admin"`), "registration", "the name must be"},
		"a password in a success":               {echo("POST /auth/register", 201, "User registered", "password", "% registered"), "registration", "must not contain the password"},
		"a password in a refusal":               {swap("POST /auth/register", "is required", "is required, not tiny7x"), "refused registrations", "must not contain submitted"},
		"one fault at a time":                   {oneFault, "refused registrations", "all validation errors"},
		"an address in a refusal":               {echo("POST /auth/login", 401, "The email", "email", "%"), "login", "the same response"},
		"who has an account":                    {telling("POST /auth/login", 401), "login", "the same response"},
		"who has an account, by forgotPassword": {telling("POST /auth/forgot-password", 202), "forgot password", "the same response"},
		"another user":                          {swap("POST /auth", "conformance-", "somebody-"), "access tokens", "who logged in"},
		"a parameter that is not named":         {swap("POST /auth/reset-password", `"parameter":"token"`, `"parameter":"t"`), "password reset", "name the missing parameter"},
		"POST /auth from a cache":               {cache("POST /auth"), "refresh", "access token must be refused"},
		"refreshes from a cache":                {cache("POST /auth/refresh-tokens"), "refresh", "status must be 401"},
		"a token that does not rotate":          {stuck, "refresh", "a new refresh token"},
		"a second successor":                    {branch(), "refresh", "the same new one"},
		"a session that outlives reuse":         {revive("POST /auth/refresh-tokens", 401), "refresh", "refresh token must be refused"},
		"a session that outlives logout":        {revive("POST /auth/logout", 200), "logout", "refresh token must be refused"},
		"a session that outlives a reset":       {revive("POST /auth/reset-password", 200), "password reset", "refresh token must be refused"},
		"POST /auth after a logout":             {cacheAfter("POST /auth/logout", "POST /auth"), "logout", "access token must be refused"},
		"POST /auth after a reset":              {cacheAfter("POST /auth/reset-password", "POST /auth"), "password reset", "access token must be refused"},
		"a password that outlives a reset":      {cacheAfter("POST /auth/reset-password", "POST /auth/login"), "password reset", "status must be 401"},
		"a password that the reset did not set": {refuseAfter("POST /auth/reset-password", "POST /auth/login"), "password reset", "status must be 200"},
		"a link that works twice":               {again("POST /auth/reset-password"), "password reset", "status must be 401"},
		"no limit, but a refusal of 400":        {status("POST /auth/login", 429, 400), "rate limits", ""},
	}
}

// on calls change for the answers to one call, METHOD path, or to all.
func on(call string, change func(*exchange)) func(*exchange) {
	return func(e *exchange) {
		if call == "" || call == e.call {
			change(e)
		}
	}
}

func status(call string, from, to int) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.status == from {
			e.status = to
		}
	})
}

// header replaces a header where there is one; empty: there is none any more.
func header(call, name, value string) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.header.Get(name) == "" {
			return
		}
		if e.header.Set(name, value); value == "" {
			e.header.Del(name)
		}
	})
}

func body(call, content string) func(*exchange) {
	return on(call, func(e *exchange) { e.body = content })
}

func swap(call, from, to string) func(*exchange) {
	return on(call, func(e *exchange) { e.body = strings.Replace(e.body, from, to, 1) })
}

// member is a text of a JSON object.
func member(object, name string) string {
	var members map[string]any
	_ = json.Unmarshal([]byte(object), &members) // what is none has none
	text, _ := members[name].(string)
	return text
}

// echo puts what was asked, in place of %, where from stands in answers of a status.
func echo(call string, status int, from, asked, to string) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.status == status {
			e.body = strings.Replace(e.body, from, strings.Replace(to, "%", member(e.asked, asked), 1), 1)
		}
	})
}

// oneFault leaves out all faults but the first.
func oneFault(e *exchange) {
	if first, _, several := strings.Cut(e.body, "},{"); several && e.call == "POST /auth/register" {
		_, faults, _ := strings.Cut(first, `"errors":`)
		problem(e, http.StatusBadRequest, "validation_failed", `,"errors":`+faults+`}]`)
	}
}

// problem makes a problem of an answer, with more members, each with a comma before it.
func problem(e *exchange, status int, code, more string) {
	e.header.Set("Content-Type", "application/problem+json")
	e.status, e.body = status, fmt.Sprintf(`{"type":"http://x.example","title":"T","status":%d,"detail":"D","code":%q,"instance":"urn:uuid:%s"%s}`,
		status, code, e.header.Get("X-Request-Id"), more)
}

// telling marks the answers to an address that has an account.
func telling(call string, status int) func(*exchange) {
	known := make(map[string]bool)
	return func(e *exchange) {
		email := strings.ToLower(member(e.asked, "email"))
		if e.status == http.StatusCreated {
			known[email] = true
		}
		if e.call == call && e.status == status && known[email] {
			e.header.Set("X-Known", "yes")
		}
	}
}

// cache answers what was asked before as it was answered then.
func cache(call string) func(*exchange) { return cacheAfter("", call) }

// cacheAfter does so once another call has succeeded.
func cacheAfter(after, call string) func(*exchange) {
	kept, begun := make(map[string]exchange), after == ""
	return func(e *exchange) {
		if e.call == after && e.status == http.StatusOK {
			begun = true
		}
		if e.call != call {
			return
		}
		key := e.bearer + e.asked
		if before, is := kept[key]; is && begun {
			e.status, e.header, e.body = before.status, before.header, before.body
		} else if e.status == http.StatusOK {
			kept[key] = *e
		}
	}
}

// again answers a call that has succeeded once as if it always did.
func again(call string) func(*exchange) {
	var first *exchange
	return on(call, func(e *exchange) {
		if first != nil {
			e.status, e.header, e.body = first.status, first.header, first.body
		} else if e.status == http.StatusOK {
			first = &exchange{status: e.status, header: e.header, body: e.body}
		}
	})
}

// refuseAfter refuses a call once another one has succeeded.
func refuseAfter(after, call string) func(*exchange) {
	begun := false
	return func(e *exchange) {
		begun = begun || e.call == after && e.status == http.StatusOK
		if begun && e.call == call && e.status == http.StatusOK {
			turn(e)
		}
	}
}

// revive answers the live refresh token of a session with the tokens it has, once a call was answered with a status.
func revive(after string, status int) func(*exchange) {
	live, begun := make(map[string]exchange), false
	return func(e *exchange) {
		token := member(e.asked, "refreshToken")
		if before, is := live[token]; is && begun && e.call == "POST /auth/refresh-tokens" {
			e.status, e.header, e.body = before.status, before.header, before.body
			return
		}
		begun = begun || e.call == after && e.status == status
		if next := member(e.body, "refreshToken"); next != "" {
			delete(live, token)
			live[next] = *e
		}
	}
}

// stuck answers a refresh with the refresh token it was asked with.
func stuck(e *exchange) {
	if e.call == "POST /auth/refresh-tokens" && e.status == http.StatusOK {
		e.body = strings.Replace(e.body, member(e.body, "refreshToken"), member(e.asked, "refreshToken"), 1)
	}
}

// branch answers a refresh token that comes again with another successor.
func branch() func(*exchange) {
	seen := make(map[string]bool)
	return on("POST /auth/refresh-tokens", func(e *exchange) {
		if token := member(e.asked, "refreshToken"); e.status == http.StatusOK && seen[token] {
			e.body = strings.Replace(e.body, member(e.body, "refreshToken"), servertest.Password, 1)
		} else {
			seen[token] = true
		}
	})
}

// successes are what the operations answer when all is well.
var successes = map[string]struct {
	status int
	body   string
}{
	"POST /auth":                 {200, `{"message":"M","user":{"name":"N","email":"n@example.com","bio":null}}`},
	"POST /auth/register":        {201, `{"message":"M","user":{"name":"N","email":"n@example.com","bio":null}}`},
	"POST /auth/login":           {200, `{"accessToken":"a.b.c","refreshToken":"r","tokenType":"Bearer","expiresIn":900}`},
	"POST /auth/refresh-tokens":  {200, `{"accessToken":"a.b.c","refreshToken":"r","tokenType":"Bearer","expiresIn":900}`},
	"POST /auth/logout":          {200, `{"message":"M"}`},
	"POST /auth/forgot-password": {202, `{"message":"M"}`},
	"POST /auth/reset-password":  {200, `{"message":"M"}`},
}

// turn makes a refusal a success, and a success a refusal or an error, each as the contract has it.
func turn(e *exchange) {
	e.header.Set("Content-Type", "application/json")
	success, is := successes[e.call]
	switch {
	case e.status >= 400 && is:
		e.status, e.body = success.status, success.body
	case e.status >= 400:
		e.status, e.body = http.StatusOK, `{}`
	default:
		status := http.StatusBadRequest
		switch e.call {
		case "POST /auth", "POST /auth/login", "POST /auth/refresh-tokens":
			status = http.StatusUnauthorized
			e.header.Set("WWW-Authenticate", `Bearer realm="sesame", error="invalid_token"`)
		case "GET /.well-known/jwks.json":
			status = http.StatusInternalServerError
		}
		e.header.Del("Access-Control-Allow-Origin")
		e.header.Set("Cache-Control", "no-store")
		problem(e, status, "validation_failed", "")
	}
}
