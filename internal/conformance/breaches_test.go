package conformance_test

import (
	"bytes"
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

// exchange is a request and its response, which a proxy may change.
type exchange struct {
	call, query         string // the method and path, and the query
	bearer, requestBody string // the access token and the body
	status              int
	header              http.Header
	body                string
}

// proxy starts a proxy in front of a server, which calls change for each response.
func proxy(t *testing.T, to string, change func(*exchange)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requestBody, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		request, err := http.NewRequestWithContext(r.Context(), r.Method, to+r.RequestURI, bytes.NewReader(requestBody))
		if err != nil {
			t.Error(err)
		}
		request.Header = r.Header
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			return // the client has disconnected, or gets an empty response
		}
		body, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Error(err)
		}
		e := &exchange{
			call: r.Method + " " + r.URL.Path, query: r.URL.RawQuery,
			bearer: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), requestBody: string(requestBody),
			status: response.StatusCode, header: response.Header, body: string(body),
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

// breach is a change of responses, the check that must find it, and a part of the reason.
type breach struct {
	change        func(*exchange)
	check, reason string
}

// The calls of the suite.
const (
	authenticate = "POST /auth"
	register     = "POST /auth/register"
	logIn        = "POST /auth/login"
	logOut       = "POST /auth/logout"
	refresh      = "POST /auth/refresh-tokens"
	forgot       = "POST /auth/forgot-password"
	reset        = "POST /auth/reset-password"
	openAPI      = "GET /openapi.yaml"
	jwks         = "GET /.well-known/jwks.json"
	metadata     = "GET /.well-known/oauth-authorization-server"
	openID       = "GET /.well-known/openid-configuration"
	unknownPath  = "GET /auth/nothing"

	account        = "GET /auth/account"
	update         = "PATCH /auth/account"
	export         = "GET /auth/account/export"
	changePassword = "POST /auth/change-password"
	changeEmail    = "POST /auth/change-email"

	sendVerification = "POST /auth/send-verification-email"
	checkLink        = "POST /auth/check-email-link"
	sessions         = "GET /auth/sessions"
	everywhere       = "POST /auth/logout-everywhere"
	checkAccess      = "GET /auth/check"
	deleteAccount    = "POST /auth/delete-account"
	anyCall          = ""
)

// documentBreaches are responses that differ from the OpenAPI document.
func documentBreaches() map[string]breach {
	const (
		csp       = "Content-Security-Policy"
		challenge = "WWW-Authenticate"
		otherID   = "01980a5e-6c1b-7f00-8d1a-3f3c5a9d1e77"
	)
	return map[string]breach{
		"other documented status": {status(logOut, 200, 400), "logout", "Content-Type"},
		"undocumented status":     {status(register, 201, 200), "register: success", "status"},
		"500 as JSON":             {status(authenticate, 200, 500), "authenticate: success", "Content-Type"},
		"HTML page of a proxy":    {body(unknownPath, "<h1>Not found</h1>"), "unknown path", "invalid character"},
		"response as text":        {header(register, "Content-Type", "text/plain"), "invalid bodies", "Content-Type"},
		"error as JSON": {
			header(unknownPath, "Content-Type", "application/json"),
			"unknown path", "problem+json",
		},

		"undocumented field": {
			swap(register, `{"message":"User`, `{"id":7,"message":"User`),
			"register: success", `"id" is unsupported`,
		},
		"undocumented nested field": {
			swap(authenticate, `"name":`, `"role":"admin","name":`),
			"authenticate: success", `/user: property "role" is unsupported`,
		},
		"missing field": {
			swap(logIn, `,"tokenType":"Bearer"`, ``),
			"login: success", `"tokenType" is missing`,
		},
		"field of the wrong type": {
			swap(logIn, `"expiresIn":900`, `"expiresIn":"900"`),
			"login: success", "/expiresIn: value must be an integer",
		},
		"undocumented code": {
			swap(register, "weak_password", "bad_password"),
			"register: weak password", "/code: value is not one of",
		},
		"wrong code": {
			swap(register, "weak_password", "email_taken"),
			"register: weak password", "code must be weak_password",
		},

		"no challenge": {header(authenticate, challenge, ""), "authenticate: no access token", challenge},
		"challenge without error": {
			header(authenticate, challenge, `Bearer realm="sesame"`),
			"access tokens", "must contain error=",
		},
		"no token, but challenge with error": {
			header(authenticate, challenge, `Bearer realm="sesame", error="invalid_token"`),
			"authenticate: no access token", "must not contain an error",
		},
		"no Retry-After":           {header(logIn, "Retry-After", ""), "rate limits", "Retry-After"},
		"Retry-After not a number": {header(logIn, "Retry-After", "soon"), "rate limits", "Retry-After"},
		"no Allow":                 {header(anyCall, "Allow", ""), "getJWKS: other methods", "Allow must name"},
		"wrong Allow":              {header(anyCall, "Allow", "OPTIONS"), "getJWKS: other methods", "Allow must name"},
		"no request id":            {header(anyCall, "X-Request-Id", ""), "OpenAPI document", "X-Request-Id must be"},
		"wrong request id":         {header(anyCall, "X-Request-Id", otherID), "unknown path", "instance must be"},

		"no nosniff":        {header(logIn, "X-Content-Type-Options", ""), "invalid bodies", "X-Content-Type-Options"},
		"referrers allowed": {header(logIn, "Referrer-Policy", "origin"), "invalid bodies", "Referrer-Policy"},
		"no CSP":            {header(logIn, csp, ""), "invalid bodies", csp},
		"frames allowed":    {header(logIn, csp, "default-src 'none'"), "invalid bodies", csp},
		"cacheable response": {
			header(logIn, "Cache-Control", "public, max-age=60"),
			"invalid bodies", "Cache-Control must",
		},
		"cacheable error": {
			header(unknownPath, "Cache-Control", "public, max-age=60"),
			"unknown path", "Cache-Control must",
		},
		"keys without Cache-Control": {header(jwks, "Cache-Control", ""), "keys", "Cache-Control"},
		"keys without CORS": {
			header(jwks, "Access-Control-Allow-Origin", ""),
			"keys", "Access-Control-Allow-Origin",
		},

		"other OpenAPI document": {swap(openAPI, "1.0.0", "1.0.1"), "OpenAPI document", "of its version"},
		"no key":                 {body(jwks, `{"keys":[]}`), "keys", "there must be a key"},
		"private key":            {swap(jwks, `"kid":`, `"d":"x","kid":`), "keys", `"d" is unsupported`},
		"wrong kid": {
			swap(jwks, `"kid":"`, `"kid":"x`),
			"authenticate: verification by a service", "a service must be able to verify",
		},
		"wrong jwks_uri": {
			swap(metadata, `/.well-known/jwks.json"`, `/jwks.json"`),
			"keys", "jwks_uri must be",
		},
		"metadata differ": {
			swap(openID, `"issuer":"https`, `"issuer":"http`),
			"getOpenIDConfiguration: same metadata", "must be the same",
		},
	}
}

// behaviorBreaches are responses that the schemas allow, but that contradict the request or earlier
// responses.
func behaviorBreaches() map[string]breach {
	return map[string]breach{
		"email not in lower case": {swap(register, `"email":"c`, `"email":"C`), "register: success", "in lower case"},
		"wrong name": {
			swap(register, `"name":"Conformance"`, `"name":"admin"`),
			"register: success", "the name must be",
		},
		"password in a response": {
			echo(register, 201, "User registered", "password", "% registered"),
			"register: success", "must not contain the password",
		},
		"password in an error": {
			swap(register, "is required", "is required, not tiny7x"),
			"register: validation errors", "must not contain submitted",
		},
		"only the first validation error": {firstError, "register: validation errors", "all validation errors"},
		"email in an error":               {echo(logIn, 401, "The email", "email", "%"), "login", "the same response"},
		"login reveals accounts":          {reveal(logIn, 401), "login", "the same response"},
		"forgot reveals accounts": {
			reveal(forgot, 202),
			"forgotPassword: same response for every email", "the same response",
		},
		"wrong user": {
			swap(authenticate, "conformance-", "somebody-"),
			"authenticate: success", "who logged in",
		},
		"wrong parameter": {
			swap(reset, `"parameter":"token"`, `"parameter":"t"`),
			"resetPassword: no token", "name the missing parameter",
		},

		"cached POST /auth":           {cache(authenticate), "refresh", "access token must be refused"},
		"cached refreshes":            {cache(refresh), "refresh", "status must be 401"},
		"refresh token not rotated":   {keepRefreshToken, "refresh", "a new refresh token"},
		"retry returns another token": {branch(), "refresh", "the same new one"},
		"reuse does not revoke":       {revive(refresh, 401), "refresh", "refresh token must be refused"},
		"logout does not revoke":      {revive(logOut, 200), "logout", "refresh token must be refused"},
		"reset does not revoke": {
			revive(reset, 200),
			"refreshTokens: after a reset", "refresh token must be refused",
		},
		"access token after a logout": {cacheAfter(logOut, authenticate), "logout", "access token must be refused"},
		"access token after a reset": {
			cacheAfter(reset, authenticate),
			"authenticate: after a reset", "access token must be refused",
		},
		"old password after a reset":   {cacheAfter(reset, logIn), "login: after a reset", "status must be 401"},
		"new password refused":         {refuseAfter(reset, logIn), "login: after a reset", "status must be 200"},
		"reset link can be used twice": {again(reset), "resetPassword: success", "status must be 401"},
		"400 when a limit is exceeded": {status(logIn, 429, 400), "rate limits", ""},

		"somebody else's account": {
			swap(account, `"email":"conformance-`, `"email":"somebody-`),
			"getAccount: success", "the user who logged in",
		},
		"update ignores null": {
			swap(update, `"bio":null`, `"bio":"A bio"`),
			"updateAccount: success", `the bio ""`,
		},
		"401 for a wrong password": {
			func(e *exchange) {
				if e.call == changePassword && e.status == http.StatusForbidden {
					e.header.Set("WWW-Authenticate", `Bearer realm="sesame"`)
					problem(e, http.StatusUnauthorized, "invalid_access_token", "")
				}
			},
			"changePassword: wrong password", "status must be 403",
		},
		"new password does not revoke": {
			cacheAfter(changePassword, authenticate),
			"authenticate: after a change of the password", "access token must be refused",
		},
		"request loses the new email": {
			swap(account, `"pendingEmail":"`, `"pendingEmail":"x`),
			"changeEmail: success", "pendingEmail must be",
		},
		"link of another purpose": {
			swap(checkLink, "reset-password", "verify-email"),
			"checkEmailLink: success", "the purpose must be",
		},
		"no current session": {
			swap(sessions, `"current":true`, `"current":false`),
			"listSessions: success", "must be the current one",
		},
		"logout everywhere does not revoke": {
			cacheAfter(everywhere, authenticate),
			"logoutEverywhere: success", "access token must be refused",
		},
		"identity of somebody else": {
			header(checkAccess, "X-User-Email", "eve@example.com"),
			"checkAccess: success", "X-User-Email must be",
		},
		"hash in the export": {
			swap(export, `"detail":""`, `"detail":"$argon2id$"`),
			"exportAccount: success", "must not contain secrets",
		},
		"deleted account": {
			cacheAfter(deleteAccount, authenticate),
			"deleteAccount: success", "access token must be refused",
		},
	}
}

// on calls change for the responses to a call, or to anyCall.
func on(call string, change func(*exchange)) func(*exchange) {
	return func(e *exchange) {
		if call == anyCall || call == e.call {
			change(e)
		}
	}
}

// status replaces a status.
func status(call string, from, to int) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.status == from {
			e.status = to
		}
	})
}

// header replaces a header, or deletes it if value is empty.
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

// body replaces the body.
func body(call, content string) func(*exchange) {
	return on(call, func(e *exchange) { e.body = content })
}

// swap replaces a part of the body.
func swap(call, from, to string) func(*exchange) {
	return on(call, func(e *exchange) { e.body = strings.Replace(e.body, from, to, 1) })
}

// member returns a string in a JSON object, or an empty one.
func member(object, name string) string {
	var members map[string]any
	_ = json.Unmarshal([]byte(object), &members) // not all bodies are JSON
	text, _ := members[name].(string)
	return text
}

// echo replaces from with to in responses with a status. % in to is a member of the request.
func echo(call string, status int, from, name, to string) func(*exchange) {
	return on(call, func(e *exchange) {
		if e.status == status {
			to := strings.Replace(to, "%", member(e.requestBody, name), 1)
			e.body = strings.Replace(e.body, from, to, 1)
		}
	})
}

// firstError removes all validation errors but the first.
func firstError(e *exchange) {
	if first, _, several := strings.Cut(e.body, "},{"); several && e.call == register {
		_, list, _ := strings.Cut(first, `"errors":`)
		problem(e, http.StatusBadRequest, "validation_failed", `,"errors":`+list+`}]`)
	}
}

// problem replaces a response with a problem. more are more members, each after a comma.
func problem(e *exchange, status int, code, more string) {
	const format = `{"type":"http://x.example","title":"T","status":%d,"detail":"D","code":%q,"instance":"urn:uuid:%s"%s}`
	e.header.Set("Content-Type", "application/problem+json")
	e.status = status
	e.body = fmt.Sprintf(format, status, code, e.header.Get("X-Request-Id"), more)
}

// reveal adds a header to the response if the email has an account.
func reveal(call string, status int) func(*exchange) {
	known := make(map[string]bool)
	return func(e *exchange) {
		email := strings.ToLower(member(e.requestBody, "email"))
		if e.status == http.StatusCreated {
			known[email] = true
		}
		if e.call == call && e.status == status && known[email] {
			e.header.Set("X-Known", "yes")
		}
	}
}

// cache returns the same response to the same request.
func cache(call string) func(*exchange) { return cacheAfter("", call) }

// cacheAfter is like cache, but only returns cached responses after another call has succeeded.
func cacheAfter(after, call string) func(*exchange) {
	cached, active := make(map[string]exchange), after == ""
	return func(e *exchange) {
		if e.call == after && e.status == http.StatusOK {
			active = true
		}
		if e.call != call {
			return
		}
		key := e.bearer + e.requestBody
		if first, ok := cached[key]; ok && active {
			e.status, e.header, e.body = first.status, first.header, first.body
		} else if e.status == http.StatusOK {
			cached[key] = *e
		}
	}
}

// again returns the first success of a call to all later ones.
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

// refuseAfter refuses a call after another call has succeeded.
func refuseAfter(after, call string) func(*exchange) {
	active := false
	return func(e *exchange) {
		active = active || e.call == after && e.status == http.StatusOK
		if active && e.call == call && e.status == http.StatusOK {
			invert(e)
		}
	}
}

// revive accepts the latest refresh token of every session after a call has returned a status. It
// returns the same tokens again.
func revive(after string, status int) func(*exchange) {
	latest, active := make(map[string]exchange), false
	return func(e *exchange) {
		token := member(e.requestBody, "refreshToken")
		if issued, ok := latest[token]; ok && active && e.call == refresh {
			e.status, e.header, e.body = issued.status, issued.header, issued.body
			return
		}
		active = active || e.call == after && e.status == status
		if next := member(e.body, "refreshToken"); next != "" {
			delete(latest, token)
			latest[next] = *e
		}
	}
}

// keepRefreshToken returns the refresh token of the request instead of the new one.
func keepRefreshToken(e *exchange) {
	if e.call == refresh && e.status == http.StatusOK {
		e.body = strings.Replace(e.body, member(e.body, "refreshToken"), member(e.requestBody, "refreshToken"), 1)
	}
}

// branch returns another new refresh token if a refresh token is used again.
func branch() func(*exchange) {
	used := make(map[string]bool)
	return on(refresh, func(e *exchange) {
		if token := member(e.requestBody, "refreshToken"); e.status == http.StatusOK && used[token] {
			e.body = strings.Replace(e.body, member(e.body, "refreshToken"), servertest.Password, 1)
		} else {
			used[token] = true
		}
	})
}

// successes are valid responses of the operations.
var successes = map[string]struct {
	status int
	body   string
}{
	sendVerification: {202, `{"message":"M"}`},
	changeEmail:      {202, `{"message":"M"}`},

	authenticate: {200, `{"message":"M","user":{"name":"N","email":"n@example.com","bio":null}}`},
	register:     {201, `{"message":"M","user":{"name":"N","email":"n@example.com","bio":null}}`},
	logIn:        {200, `{"accessToken":"a.b.c","refreshToken":"r","tokenType":"Bearer","expiresIn":900}`},
	refresh:      {200, `{"accessToken":"a.b.c","refreshToken":"r","tokenType":"Bearer","expiresIn":900}`},
	logOut:       {200, `{"message":"M"}`},
	forgot:       {202, `{"message":"M"}`},
	reset:        {200, `{"message":"M"}`},
}

// invert replaces an error with a success and a success with an error. Both match the OpenAPI
// document.
func invert(e *exchange) {
	e.header.Set("Content-Type", "application/json")
	success, ok := successes[e.call]
	switch {
	case e.status >= 400 && ok:
		e.status, e.body = success.status, success.body
	case e.status >= 400:
		e.status, e.body = http.StatusOK, `{}`
	default:
		status := http.StatusBadRequest
		switch e.call {
		case authenticate, logIn, refresh:
			status = http.StatusUnauthorized
			e.header.Set("WWW-Authenticate", `Bearer realm="sesame", error="invalid_token"`)
		case jwks:
			status = http.StatusInternalServerError
		}
		e.header.Del("Access-Control-Allow-Origin")
		e.header.Set("Cache-Control", "no-store")
		problem(e, status, "validation_failed", "")
	}
}
