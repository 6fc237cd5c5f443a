package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// get returns the status and the body of a GET request.
func (p *process) get(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
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
	return response.StatusCode, string(body)
}

// The admin listener serves metrics, and profiles if they are on. The API listener serves neither.
func TestAdminListener(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for profiling, want := range map[string]int{"": http.StatusNotFound, "on": http.StatusOK} {
			p := newProcess(t, engine, "SESAME_PPROF="+profiling, "SESAME_CORS_ORIGINS=https://app.example.com")
			p.start(t)
			for path, status := range map[string]int{
				"/metrics":                         http.StatusOK,
				"/debug/pprof/":                    want,
				"/debug/pprof/heap":                want,
				"/debug/pprof/goroutine?debug=1":   want,
				"/debug/pprof/symbol":              want,
				"/debug/pprof/cmdline":             want,
				"/debug/pprof/profile?seconds=1":   want,
				"/debug/pprof/trace?seconds=0.001": want,
				"/debug/vars":                      http.StatusNotFound,
				"/auth":                            http.StatusNotFound,
			} {
				got, body := p.get(t, "http://"+p.admin+path)
				if got != status {
					t.Errorf("pprof %q: %s returns %d %s", profiling, path, got, body)
				}
				if strings.Contains(body, secretOfTests) {
					t.Errorf("%s contains the secret", path)
				}
				if got, _ := p.get(t, "http://"+p.api+path); got != http.StatusNotFound && path != "/auth" {
					t.Errorf("pprof %q: %s of the API returns %d", profiling, path, got)
				}
			}
			const count = `sesame_http_request_duration_seconds_count{operation="other",status="404"}`
			if _, metrics := p.get(t, "http://"+p.admin+"/metrics"); !strings.Contains(metrics, count) {
				t.Errorf("requests to the API are not counted:\n%s", metrics)
			}
			status, _ := p.post(t, "/auth/login", `{}`, "Origin", "https://app.example.com")
			if status != http.StatusBadRequest {
				t.Errorf("login: %d", status)
			}
		}
	})
}
