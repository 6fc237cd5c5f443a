package verify_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/verify"
)

const (
	recentChallenge = `Bearer realm="sesame", error="insufficient_user_authentication", max_age="600"`
	factorChallenge = `Bearer realm="sesame", error="insufficient_user_authentication", acr_values="aal2"`
)

// done responds to requests that pass.
var done = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// expectChallenge requires this challenge, or that the request passed if it is empty.
func expectChallenge(t *testing.T, name, issuer string, handler http.Handler, token, challenge string) {
	t.Helper()
	response := get(t, handler, "/", []string{"Bearer " + token})
	want := http.StatusUnauthorized
	if challenge == "" {
		want = http.StatusNoContent
	}
	if got := response.Header().Get("WWW-Authenticate"); response.Code != want || got != challenge {
		t.Errorf("%s: %d %q", name, response.Code, got)
		return
	}
	if challenge != "" {
		const code = "insufficient_user_authentication"
		expectProblem(t, response, issuer+"/problems/"+code, code)
	}
}

// A login is recent until maxAge has passed. It may be a minute ahead.
func TestRequireRecent(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	handler := verifier.Middleware(verifier.RequireRecent(10 * time.Minute)(done))
	for name, test := range map[string]struct {
		age    int64 // in seconds
		recent bool
	}{
		"now":                       {0, true},
		"a second before maxAge":    {599, true},
		"exactly maxAge":            {600, false},
		"a second after maxAge":     {601, false},
		"a day":                     {86400, false},
		"the year 1970":             {from.clock.now().Unix(), false},
		"a minute ahead":            {-60, true},
		"a minute and a second":     {-61, false},
		"a day ahead":               {-86400, false},
		"later than a duration can": {-1 << 40, false},
	} {
		now := from.clock.now()
		token := k.sign(t, encode(t, k.header(), nil),
			encode(t, claims(from.URL, now), map[string]any{"auth_time": now.Unix() - test.age}))
		challenge := recentChallenge
		if test.recent {
			challenge = ""
		}
		expectChallenge(t, name, from.URL, handler, token, challenge)
	}
}

// Two factors satisfy a requirement of one, but not the other way round.
func TestRequireACR(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	for _, test := range []struct {
		required, acr string
		enough        bool
	}{
		{"aal1", "aal1", true},
		{"aal1", "aal2", true},
		{"aal2", "aal2", true},
		{"aal2", "aal1", false},
		{"aal2", "AAL2", false},
		{"aal2", "aal3", false}, // it may mean anything
	} {
		now := from.clock.now()
		token := k.sign(t, encode(t, k.header(), nil),
			encode(t, claims(from.URL, now), map[string]any{"acr": test.acr}))
		challenge := factorChallenge
		if test.enough {
			challenge = ""
		}
		handler := verifier.Middleware(verifier.RequireACR(test.required)(done))
		expectChallenge(t, test.acr+" for "+test.required, from.URL, handler, token, challenge)
	}
}

// Without claims in the context, requests are refused, also with a valid token.
func TestRequireWithoutMiddleware(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	token := k.token(t, from.URL, from.clock.now())
	for name, handler := range map[string]http.Handler{
		"RequireRecent":      verifier.RequireRecent(time.Hour)(done),
		"RequireACR":         verifier.RequireACR("aal1")(done),
		"in the wrong order": verifier.RequireACR("aal1")(verifier.Middleware(done)),
	} {
		response := get(t, handler, "/", []string{"Bearer " + token})
		if challenge := response.Header().Get("WWW-Authenticate"); challenge != `Bearer realm="sesame"` {
			t.Errorf("%s: %d %q", name, response.Code, challenge)
		}
		expectProblem(t, response, from.URL+"/problems/invalid_access_token", "invalid_access_token")
	}
}

// Requirements that no token or every token satisfies are programming errors.
func TestRequireRefusesOtherValues(t *testing.T) {
	verifier := verify.NewWithKeys("https://auth.example.com", audience, nil)
	for name, call := range map[string]func(){
		"no maxAge":       func() { verifier.RequireRecent(0) },
		"half a second":   func() { verifier.RequireRecent(time.Second / 2) },
		"negative maxAge": func() { verifier.RequireRecent(-time.Hour) },
		"no acr":          func() { verifier.RequireACR("") },
		"another acr":     func() { verifier.RequireACR("mfa") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}
