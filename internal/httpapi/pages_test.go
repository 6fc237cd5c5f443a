package httpapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A browser gets errors of pages as a page. Clients of the API, and browsers that call it, get
// problem documents.
func TestErrorPages(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{WithoutKeys: true})
		for _, test := range []struct {
			method, path, accept string
			status               int
			page                 bool
		}{
			{http.MethodGet, "/nothing", browser, http.StatusNotFound, true},
			{http.MethodGet, "/no/thing", browser, http.StatusNotFound, true},
			{http.MethodHead, "/nothing", browser, http.StatusNotFound, true},
			{http.MethodGet, "/problems/nothing", browser, http.StatusNotFound, true},
			{http.MethodGet, "/auth/login", browser, http.StatusMethodNotAllowed, true},
			{http.MethodGet, "/.well-known/jwks.json", browser, http.StatusInternalServerError, false},
			{http.MethodGet, "/nothing", "", http.StatusNotFound, false},
			{http.MethodGet, "/nothing", "*/*", http.StatusNotFound, false},
			{http.MethodGet, "/nothing", "application/json", http.StatusNotFound, false},
			{http.MethodPost, "/nothing", browser, http.StatusNotFound, false},
			{http.MethodPost, "/auth", browser, http.StatusUnauthorized, false},
			{http.MethodDelete, "/auth/login", browser, http.StatusMethodNotAllowed, false},
		} {
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.accept != "" {
				request.Header.Set("Accept", test.accept)
			}
			response, err := http.DefaultTransport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := response.Body.Close(); err != nil {
				t.Fatal(err)
			}
			want := "application/problem+json"
			if test.page {
				want = "text/html; charset=utf-8"
			}
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != want {
				t.Errorf("%s %s for %q: %d %v", test.method, test.path, test.accept, response.StatusCode, response.Header)
			}
			if test.status == http.StatusMethodNotAllowed && response.Header.Get("Allow") == "" {
				t.Errorf("%s %s: no Allow header", test.method, test.path)
			}
			if test.page && test.method == http.MethodGet && !strings.Contains(string(body), "Go to the start page") {
				t.Errorf("%s %s:\n%s", test.method, test.path, body)
			}
		}
	})
}
