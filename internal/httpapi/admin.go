package httpapi

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof" // it also registers with http.DefaultServeMux, which is not served
	"net/netip"
	"strings"
)

// AdminConfig configures the admin endpoints.
type AdminConfig struct {
	Ready     func() error // returns nil if the server can handle requests; costs nothing
	Metrics   *Metrics
	Seen      *Sightings
	Profiling bool         // serve /debug/pprof/
	Mailbox   http.Handler // serves /dev/mail and the assets of its pages; nil: none
	Host      string       // the host that the listener is configured with
	Log       *slog.Logger
}

// NewAdmin returns the handler of the admin listener:
//
//   - /livez returns 200 while the process is running.
//   - /readyz returns 200 if the server can handle requests, and 503 otherwise.
//   - /metrics returns metrics for Prometheus.
//   - /doctor/ID returns how a request of `sesame doctor` reached the API.
//   - /debug/pprof/ returns profiles for `go tool pprof`.
//   - /dev/mail shows emails, during development.
//
// They are not part of the API and clients must not reach them: a profile slows the server down,
// and the emails give access to accounts. See isRebound for a browser on this machine.
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
	mux.Handle("GET /doctor/{id}", config.Seen)
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
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		if isRebound(r, config.Host) {
			writeStatus(w, http.StatusMisdirectedRequest, "unknown host")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isRebound reports whether a page in a browser on this machine may have sent a request by DNS
// rebinding: the page makes the name of its own host resolve to a loopback address, and could then
// read the response. The Host header contains that name.
//
// On a loopback address only localhost, the configured host and IP addresses, which do not resolve,
// are expected. HTTP/1.0 needs no Host header, but browsers always send it. On other addresses
// Prometheus may use any name of this machine, so every host is expected, and only the network
// decides who may connect. Browsers cannot connect to a Unix socket.
func isRebound(r *http.Request, configured string) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "" && !strings.EqualFold(host, "localhost") && !strings.EqualFold(host, configured)
}

func writeStatus(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": status}) // the client may have disconnected
}
