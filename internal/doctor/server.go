package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"github.com/sesame-auth/sesame/internal/server"
)

// running is what a running server says about itself.
type running struct {
	version        string // empty: not known
	maxConnections int    // of the API; 0: not known
}

// checkServer asks the admin listener whether a server runs and is ready.
func checkServer(ctx context.Context, e *examination) Finding {
	status, _, err := e.askAdmin(ctx, "/livez")
	switch {
	case err != nil:
		return warn("Start it with sesame serve. If it runs elsewhere, run sesame doctor there.",
			"no server runs here: %s", err)
	case status != http.StatusOK:
		return fail("Another program may use the address: set SESAME_ADMIN_ADDR.",
			"%s: /livez returns %d", e.AdminAddr, status)
	}
	const remedy = "Find the reason in the log of the server, in the line \"not ready\". It may also be shutting down."
	switch status, _, err = e.askAdmin(ctx, "/readyz"); {
	case err != nil:
		return fail(remedy, "a server runs, but is not ready: %s", err)
	case status != http.StatusOK:
		return fail(remedy, "a server runs, but is not ready: /readyz returns %d", status)
	}
	e.running = &running{}
	_, metrics, err := e.askAdmin(ctx, "/metrics")
	if err != nil {
		return ok("a server is ready")
	}
	if found := buildInfo.FindSubmatch(metrics); found != nil {
		e.running.version = string(found[1])
	}
	if found := maxConnections.FindSubmatch(metrics); found != nil {
		e.running.maxConnections, _ = strconv.Atoi(string(found[1])) // 0 if it is not a number
	}
	if running := e.running.version; running != "" && running != e.Version {
		return warn("Restart the server, or run sesame doctor of its version.",
			"a server of version %s is ready, and this is version %s", running, e.Version)
	}
	return ok("a server of this version is ready")
}

// The metrics that a server is asked for.
var (
	buildInfo      = regexp.MustCompile(`(?m)^sesame_build_info\{.*\bversion="([^"]*)"`)
	maxConnections = regexp.MustCompile(`(?m)^sesame_http_max_connections (\d+)$`)
)

// askAdmin sends a GET request to the admin listener.
func (e *examination) askAdmin(ctx context.Context, path string) (status int, body []byte, err error) {
	client, url := server.AdminClient(e.AdminAddr)
	return get(ctx, client, url+path, "")
}

// maxResponse is how many bytes of a response are read. The metrics have less than that.
const maxResponse = 1 << 20

// get sends a GET request. An empty userAgent is that of Go.
func get(ctx context.Context, client *http.Client, url, userAgent string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if userAgent != "" {
		request.Header.Set("User-Agent", userAgent)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	body, err = io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return 0, nil, fmt.Errorf("read the response: %w", err)
	}
	return response.StatusCode, body, nil
}
