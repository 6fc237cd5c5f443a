package httpapi_test

import (
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// HEAD returns the status and the headers of GET, also the length (RFC 9110, section 9.3.2).
func TestHeadIsLikeGet(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		paths := map[string]bool{
			"/": true, "/docs": true, "/reset-password": true, "/problems": true, "/problems/not_found": true,
			"/openapi.yaml": true, "/openapi.json": true, "/favicon.ico": true, "/nothing": true,
			"/verify-email": true, "/confirm-email-change": true, "/undo-email-change": true,
		}
		for _, page := range []string{"/docs", "/reset-password", "/verify-email"} {
			for _, asset := range regexp.MustCompile(`assets/[^"]+`).FindAllString(s.Do(t, http.MethodGet, page, "").Raw, -1) {
				paths["/"+asset] = true
			}
		}
		for _, operation := range servertest.Document().Operations() {
			if operation.Method == http.MethodGet {
				paths[operation.Path] = true
			}
		}
		for path := range paths {
			for _, encoding := range []string{"identity", "gzip"} { // otherwise the client decompresses by itself
				get := s.Do(t, http.MethodGet, path, "", "Accept-Encoding", encoding)
				head := s.Do(t, http.MethodHead, path, "", "Accept-Encoding", encoding)
				length := strconv.Itoa(len(get.Raw))
				if head.Status != get.Status || head.Raw != "" || head.Header.Get("Content-Length") != length ||
					get.Header.Get("Content-Length") != length {
					t.Errorf("%s as %s: %d bytes\nGET  %d %v\nHEAD %d %v",
						path, encoding, len(get.Raw), get.Status, get.Header, head.Status, head.Header)
				}
				for _, name := range []string{"Date", "X-Request-Id"} {
					get.Header.Del(name)
					head.Header.Del(name)
				}
				if !reflect.DeepEqual(get.Header, head.Header) {
					t.Errorf("%s as %s: the headers of GET are %v, of HEAD %v", path, encoding, get.Header, head.Header)
				}
			}
		}
	})
}

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
