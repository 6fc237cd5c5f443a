package httpapi_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// sendRaw sends what no HTTP client would, and returns the response and its body.
func sendRaw(t *testing.T, s *servertest.Server, request string) (*http.Response, string) {
	t.Helper()
	connection, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return response, string(body)
}

// A request target does not have to be a path. Such requests return errors like any other, with the
// headers of every response.
func TestUnusualTargets(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{CORSOrigins: listed})
		for _, start := range []string{
			"OPTIONS *", "GET *", "GET http://x", "GET http://x/nothing", "HEAD *", "POST *", "CONNECT x:80", "PRI *",
		} {
			for _, accept := range []string{"text/html", "application/json"} {
				request := start + " HTTP/1.1\r\nHost: x\r\nOrigin: " + listed + "\r\nAccept: " + accept + "\r\n\r\n"
				response, body := sendRaw(t, s, request) //nolint:bodyclose // sendRaw closes it
				header := response.Header
				if response.StatusCode != http.StatusNotFound || len(header.Get("X-Request-Id")) != 36 ||
					header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Content-Security-Policy") == "" {
					t.Errorf("%s: %d %v", start, response.StatusCode, header)
				}
				var problem struct{ Code string }
				isPage := strings.HasPrefix(start, "GET") && accept == "text/html"
				if isPage != strings.Contains(body, "Page not found") ||
					!isPage && body != "" && (json.Unmarshal([]byte(body), &problem) != nil || problem.Code != "not_found") {
					t.Errorf("%s for %s: %s", start, accept, body)
				}
			}
		}
		if log := s.Log.String(); strings.Contains(log, "panic") {
			t.Error(log)
		}
	})
}

// net/http refuses some requests before a handler sees them. These responses are not problem
// documents: see docs/design.md. They repeat nothing from the request, and end the connection.
func TestResponsesOfNetHTTP(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{})
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\n\r\n":                             400,
		"GET / HTTP/1.1\r\nHost: can ary\r\n\r\n":            400,
		"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n":       400,
		"GET / HTTP/1.1\r\nHost: x\r\nA: canary\x01\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: x\r\ncan ary: x\r\n\r\n":    400,
		"GET / HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n":        400,
		"GET /canary%zz HTTP/1.1\r\nHost: x\r\n\r\n":         400,
		"canary\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n":                 400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: x\r\nExpect: canary\r\n\r\n":                          417,
		"GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("canary", 7<<10):           431,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: canary\r\n\r\n":              501,
		"GET / HTTP/3.0\r\nHost: x\r\n\r\n":                                            505,
	} {
		response, body := sendRaw(t, s, request) //nolint:bodyclose // sendRaw closes it
		if response.StatusCode != want || !response.Close || strings.Contains(body, "anary") {
			t.Errorf("%.80q: %d, want %d\n%v\n%s", request, response.StatusCode, want, response.Header, body)
		}
		for name := range response.Header {
			if name != "Content-Type" && name != "Date" && name != "Content-Length" {
				t.Errorf("%.80q: the response has %s; docs/design.md says that it does not", request, name)
			}
		}
		if media := response.Header.Get("Content-Type"); media != "" && media != "text/plain; charset=utf-8" {
			t.Errorf("%.80q: Content-Type is %s", request, media)
		}
	}
	if log := s.Log.String(); strings.Contains(log, "anary") || strings.Contains(log, `"msg":"request"`) {
		t.Errorf("the log contains such a request:\n%s", log)
	}
}
