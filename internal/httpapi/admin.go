package httpapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof" // it also registers with http.DefaultServeMux, which is not served
)

// AdminConfig configures the admin endpoints.
type AdminConfig struct {
	Ready     func() error // returns nil if the server can handle requests; costs nothing
	Metrics   *Metrics
	Profiling bool         // serve /debug/pprof/
	Mailbox   http.Handler // serves /dev/mail and the assets of its pages; nil: none
	Log       *slog.Logger
}

// NewAdmin returns the handler of the admin listener:
//
//   - /livez returns 200 while the process is running.
//   - /readyz returns 200 if the server can handle requests, and 503 otherwise.
//   - /metrics returns metrics for Prometheus.
//   - /debug/pprof/ returns profiles for `go tool pprof`.
//   - /dev/mail shows emails, during development.
//
// They are not part of the API and clients must not reach them: a profile slows the server down,
// and the emails give access to accounts.
func NewAdmin(config AdminConfig) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeStatus(w, http.StatusOK, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if config.Ready() != nil { // the server logs the reason once
			writeStatus(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		writeStatus(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", config.Metrics.handler(config.Log))
	if config.Profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // also every profile that has a name
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	if config.Mailbox != nil {
		mux.Handle("/dev/mail", config.Mailbox)
		mux.Handle("/dev/mail/", config.Mailbox)
		mux.Handle("/assets/", config.Mailbox)
	}
	return mux
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // the client may have disconnected
}
