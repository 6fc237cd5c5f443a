package verify_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sesame-auth/sesame/verify"
)

// A request with a valid token reaches the handler with its claims. Others get an error.
func TestMiddleware(t *testing.T) {
	k := newKey(t, "ES256", "kid")
	from := newIssuer(t, k)
	verifier := from.verifier(t)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := verify.FromContext(r.Context())
		_, _ = w.Write([]byte(claims.Subject))
	})
	now := from.clock.now()
	token := k.token(t, from.URL, now)
	expired := k.sign(t, encode(t, k.header(), nil), encode(t, claims(from.URL, now), map[string]any{"exp": 1}))
	const noToken, invalid = `Bearer realm="sesame"`, `Bearer realm="sesame", error="invalid_token"`
	tests := map[string]struct {
		authorization []string
		challenge     string // empty: the token is valid
	}{
		"valid":              {[]string{"Bearer " + token}, ""},
		"scheme in any case": {[]string{"bEARER " + token}, ""},
		"no header":          {nil, noToken},
		"empty header":       {[]string{""}, invalid},
		"no token":           {[]string{"Bearer"}, invalid},
		"other scheme":       {[]string{"Basic " + token}, invalid},
		"two headers":        {[]string{"Bearer " + token, "Bearer " + token}, invalid},
		"two tokens":         {[]string{"Bearer " + token + ", Bearer " + token}, invalid},
		"expired":            {[]string{"Bearer " + expired}, invalid},
	}
	for name, test := range tests {
		// A token in the query must be ignored.
		response := get(t, verifier.Middleware(handler), "/?access_token="+token, test.authorization)
		if test.challenge == "" {
			if response.Code != http.StatusOK || response.Body.String() != user {
				t.Errorf("%s: %d %s", name, response.Code, response.Body)
			}
			continue
		}
		challenge := response.Header().Get("WWW-Authenticate")
		if response.Code != http.StatusUnauthorized || challenge != test.challenge {
			t.Errorf("%s: %d %q", name, response.Code, challenge)
		}
		expectProblem(t, response, from.URL+"/problems/invalid_access_token", "invalid_access_token")
	}
	down := newIssuer(t)
	down.fail()
	token = k.token(t, down.URL, down.clock.now())
	response := get(t, down.verifier(t).Middleware(handler), "/", []string{"Bearer " + token})
	header := response.Header()
	if response.Code != http.StatusServiceUnavailable || header.Get("Retry-After") != "2" {
		t.Errorf("the issuer is down: %d %v", response.Code, header)
	}
	if header.Get("WWW-Authenticate") != "" {
		t.Error("the issuer is down: there is a challenge")
	}
	expectProblem(t, response, "about:blank", "unavailable")
	if _, ok := verify.FromContext(t.Context()); ok {
		t.Error("FromContext returns claims of a context without any")
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

func expectProblem(t *testing.T, response *httptest.ResponseRecorder, problemType, code string) {
	t.Helper()
	var document struct {
		Type, Title, Detail, Code string
		Status                    int
	}
	if err := json.Unmarshal(response.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.Type != problemType || document.Code != code || document.Status != response.Code {
		t.Errorf("%+v, want type %s and code %s", document, problemType, code)
	}
	if document.Title == "" || document.Detail == "" {
		t.Errorf("%+v has no title or detail", document)
	}
	header := response.Header()
	if header.Get("Content-Type") != "application/problem+json" || header.Get("Cache-Control") != "no-store" {
		t.Errorf("header: %v", header)
	}
}
