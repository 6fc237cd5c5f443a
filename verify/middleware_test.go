package verify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sesame-auth/sesame/verify"
)

// A request with a token reaches the handler, which finds the user. Others get the responses of the RFCs.
func TestMiddleware(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		_, _ = w.Write([]byte(claims.Subject))
	})
	token := k.token(t, from.URL, from.clock.now())
	expired := k.sign(t, encode(t, k.header(), nil), encode(t, claims(from.URL, from.clock.now()), map[string]any{"exp": 1}))
	const noToken, invalid = `Bearer realm="sesame"`, `Bearer realm="sesame", error="invalid_token"`
	tests := map[string]struct {
		authorization []string
		challenge     string // none: let in
	}{
		"a token":                     {[]string{"Bearer " + token}, ""},
		"the scheme in other letters": {[]string{"bEARER " + token}, ""},
		"nothing":                     {nil, noToken},
		"nothing in it":               {[]string{""}, invalid},
		"no token":                    {[]string{"Bearer"}, invalid},
		"another scheme":              {[]string{"Basic " + token}, invalid},
		"two headers":                 {[]string{"Bearer " + token, "Bearer " + token}, invalid},
		"two tokens":                  {[]string{"Bearer " + token + ", Bearer " + token}, invalid},
		"expired":                     {[]string{"Bearer " + expired}, invalid},
	}
	for name, test := range tests {
		answer := get(t, verifier.Middleware(plain), "/?access_token="+token, test.authorization) // never read from there
		if test.challenge == "" {
			if answer.Code != http.StatusOK || answer.Body.String() != user {
				t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
			}
			continue
		}
		if answer.Code != http.StatusUnauthorized || answer.Header().Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %d %q", name, answer.Code, answer.Header().Get("WWW-Authenticate"))
		}
		expectProblem(t, answer, from.URL+"/problems/invalid_access_token", "invalid_access_token")
	}
	down := newIssuer(t)
	down.fail()
	answer := get(t, down.verifier(t).Middleware(plain), "/", []string{"Bearer " + k.token(t, down.URL, down.clock.now())})
	if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") != "2" || answer.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("the issuer is down: %d %v", answer.Code, answer.Header())
	}
	expectProblem(t, answer, "about:blank", "unavailable")
	if _, is := verify.FromContext(t.Context()); is {
		t.Error("claims out of nothing")
	}
}

func get(t *testing.T, handler http.Handler, path string, authorization []string) *httptest.ResponseRecorder {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for _, value := range authorization {
		request.Header.Add("Authorization", value)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func expectProblem(t *testing.T, answer *httptest.ResponseRecorder, kind, code string) {
	t.Helper()
	var document struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	header := answer.Header()
	if document.Type != kind || document.Code != code || document.Status != answer.Code || document.Title == "" || document.Detail == "" ||
		header.Get("Content-Type") != "application/problem+json" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", answer.Body, header)
	}
}
