package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// The admin listener serves metrics, and profiles if they are on. The API listener serves neither.
func TestAdminListener(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		for profiling, want := range map[string]int{"": http.StatusNotFound, "on": http.StatusOK} {
			server := processtest.New(t, engine, "SESAME_PPROF="+profiling, "SESAME_CORS_ORIGINS=https://app.example.com")
			server.Start(t)
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
				got, body := processtest.Get(t, "http://"+server.Admin+path)
				if got != status {
					t.Errorf("pprof %q: %s returns %d %s", profiling, path, got, body)
				}
				if strings.Contains(body, processtest.Secret) {
					t.Errorf("%s contains the secret", path)
				}
				if got, _ := processtest.Get(t, "http://"+server.API+path); got != http.StatusNotFound && path != "/auth" {
					t.Errorf("pprof %q: %s of the API returns %d", profiling, path, got)
				}
			}
			const count = `sesame_http_request_duration_seconds_count{operation="other",status="404"}`
			if _, metrics := processtest.Get(t, "http://"+server.Admin+"/metrics"); !strings.Contains(metrics, count) {
				t.Errorf("requests to the API are not counted:\n%s", metrics)
			}
			status, _ := server.Post(t, "/auth/login", `{}`, "Origin", "https://app.example.com")
			if status != http.StatusBadRequest {
				t.Errorf("login: %d", status)
			}
		}
	})
}
