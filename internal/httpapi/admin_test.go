package httpapi_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// A web page can make the name of its host resolve to this machine, but cannot change the Host
// header (DNS rebinding). On other addresses than loopback ones, Prometheus may use any name.
func TestAdminHost(t *testing.T) {
	admin := httpapi.NewAdmin(httpapi.AdminConfig{
		Metrics: httpapi.NewMetrics(),
		Ready:   func() error { return nil }, Profiling: true,
		Mailbox: http.NotFoundHandler(), Host: "sesame.internal", Log: slog.New(slog.DiscardHandler),
	})
	for host, known := range map[string]bool{
		"127.0.0.1:8081": true, "127.0.0.1": true, "[::1]:8081": true, "[::1]": true, "localhost:8081": true,
		"LocalHost": true, "localhost:9000": true, "sesame.internal:8081": true, "Sesame.Internal": true,
		"10.1.2.3:8081": true, "[2001:db8::1]:8081": true, "": true,
		"evil.example:8081": false, "evil.example": false, "localhost.evil.example:8081": false,
		"127.0.0.1.evil.example:8081": false, "sesame.internal.evil.example": false, "localhost:8081:evil": false,
		"a": false, ":8081": true,
	} {
		for ip, isLoopback := range map[string]bool{"127.0.0.1": true, "::1": true, "10.1.2.3": false, "2001:db8::1": false} {
			for _, path := range []string{"/livez", "/readyz", "/nothing", "/dev/mail", "/debug/pprof/cmdline", "/metrics"} {
				request := httptest.NewRequest(http.MethodGet, "http://x"+path, nil)
				request.Host = host
				address := &net.TCPAddr{IP: net.ParseIP(ip), Port: 8081}
				request = request.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, address))
				response := httptest.NewRecorder()
				admin.ServeHTTP(response, request)
				refused := response.Code == http.StatusMisdirectedRequest
				explained := strings.Contains(response.Body.String(), "unknown host")
				if want := isLoopback && !known; refused != want || explained != want {
					t.Errorf("%s on %s with the host %q: %d", path, ip, host, response.Code)
				}
				header := response.Header()
				if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" ||
					!strings.Contains(header.Get("Content-Security-Policy"), "base-uri 'none'") {
					t.Errorf("%s: %v", path, header)
				}
			}
		}
	}
}

// The admin listener of a running server checks the host.
func TestAdminListenerChecksTheHost(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		s := servertest.Start(t, engine, servertest.Options{})
		for host, want := range map[string]int{"": 200, "localhost": 200, "evil.example": 421} {
			for _, path := range []string{"/livez", "/readyz", "/metrics"} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.AdminURL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Host = host
				response, err := http.DefaultTransport.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				if err != nil || response.StatusCode != want || want != 200 && strings.Contains(string(body), "sesame_") {
					t.Errorf("%s with the host %q: %d %s %v", path, host, response.StatusCode, body, err)
				}
				_ = response.Body.Close()
			}
		}
	})
}
