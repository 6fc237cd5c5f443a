package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/pprof" // it also registers with http.DefaultServeMux, which nothing serves
	"time"
)

// readyTimeout is how long the database may take to prove that it is there.
const readyTimeout = 2 * time.Second

// NewAdmin is the handler of the admin listener: /livez, 200 while the process serves, and /readyz, 200 while
// ready returns nil and 503 otherwise, for load balancers; /metrics for Prometheus; with profiling, /debug/pprof/
// for `go tool pprof`. It is not part of the contract and must not be reachable by clients: a profile slows the
// server down for as long as it takes.
func NewAdmin(ready func(context.Context) error, metrics *Metrics, profiling bool, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, http.StatusOK, "alive")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := ready(ctx); err != nil {
			log.Warn("not ready", "err", err)
			tell(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		tell(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", metrics.handler(log))
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index) // also every profile that has a name
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func tell(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": words}) // a prober that hung up needs no answer
}
