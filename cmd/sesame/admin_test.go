package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// The admin listener has metrics, and profiles when asked for; the API listener has neither.
func TestAdminListener(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for profiling, want := range map[string]int{"": http.StatusNotFound, "on": http.StatusOK} {
			p := processtest.New(t, engine, "SESAME_PPROF="+profiling, "SESAME_CORS_ORIGINS=https://app.example.com")
			p.Start(t)
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
				got, body := processtest.Get(t, "http://"+p.Admin+path)
				if got != status {
					t.Errorf("pprof %q: %s answers %d %s", profiling, path, got, body)
				}
				if strings.Contains(body, processtest.Secret) {
					t.Errorf("%s tells the secret", path)
				}
				if got, _ := processtest.Get(t, "http://"+p.API+path); got != http.StatusNotFound && path != "/auth" {
					t.Errorf("pprof %q: the API's %s answers %d", profiling, path, got)
				}
			}
			if _, metrics := processtest.Get(t, "http://"+p.Admin+"/metrics"); !strings.Contains(metrics, `sesame_http_request_duration_seconds_count{operation="other",status="404"}`) {
				t.Errorf("the API's requests are not counted:\n%s", metrics)
			}
			if status, _ := p.Post(t, "/auth/login", `{}`, "Origin", "https://app.example.com"); status != http.StatusBadRequest {
				t.Errorf("login: %d", status)
			}
		}
	})
}
