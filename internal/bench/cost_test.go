package bench

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/conformance"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

const (
	costRequests = 300 // of each kind
	costWarmUp   = 30
	bodyLimit    = 16 << 10
)

// cost is the processor time of one kind of request.
type cost struct {
	request string
	status  int
	each    time.Duration
}

func BenchmarkRequestCost(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			var costs []cost
			for b.Loop() { // once: it takes longer than -benchtime
				for name, request := range unauthenticated(b, in) {
					costs = append(costs, in.cost(b, name, request))
				}
			}
			slices.SortFunc(costs, func(a, b cost) int { return int(b.each - a.each) })
			var table strings.Builder
			for _, c := range costs {
				fmt.Fprintf(&table, "%8.3f ms  %d  %s\n", c.each.Seconds()*1000, c.status, c.request)
			}
			// Not with Log, which omits all but the first lines.
			fmt.Fprintf(os.Stderr, "processor time of one request:\n%s", &table)
			b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
			b.ReportMetric(costs[0].each.Seconds()*1000, "max-cpu-ms")
		})
	}
}

// cost repeats a request on one connection.
func (in *installation) cost(b *testing.B, name string, request []byte) cost {
	b.Helper()
	c := dial(b, in.address)
	defer func() { _ = c.conn.Close() }()
	measured := cost{request: name}
	var before time.Duration
	for i := range costWarmUp + costRequests {
		if i == costWarmUp {
			before = in.server.cpuTime(b)
		}
		var err error
		if measured.status, err = c.exchange(request); err != nil {
			b.Fatalf("%s: %v", name, err)
		}
	}
	measured.each = (in.server.cpuTime(b) - before) / costRequests
	return measured
}

// unauthenticated returns requests by name: GET and HEAD of every page, asset and unknown path, and
// every operation with bodies up to the limit, none of which hashes a password.
func unauthenticated(b *testing.B, in *installation) map[string][]byte {
	b.Helper()
	contract, err := conformance.Load()
	if err != nil {
		b.Fatal(err)
	}
	requests := make(map[string][]byte)
	paths := map[string]bool{
		"/openapi.yaml": true, "/openapi.json": true, "/favicon.ico": true, "/.well-known/change-password": true,
		"/nothing": true, "/problems/nothing": true, "/nothing?" + strings.Repeat("a=1&", 2000): true,
	}
	for _, page := range []string{"/", "/docs", "/reset-password", "/problems", "/problems/weak_password"} {
		paths[page] = true
		for _, asset := range in.assets(b, page) {
			paths[asset] = true
		}
	}
	for _, operation := range contract.Operations() {
		paths[operation.Path] = true
		for name, body := range costlyBodies() {
			if operation.ID == "login" && name == "a weak password" {
				continue // it would be hashed
			}
			name = fmt.Sprintf("POST %s with %s", operation.Path, name)
			requests[name] = request(operation.Path+"?token=x", "Authorization: Bearer "+forgedToken+"\r\n", body)
		}
	}
	for path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, accepted := range []string{"", "Accept-Encoding: gzip\r\n", "Accept: text/html\r\n"} {
				name := fmt.Sprintf("%s %.40s %s", method, path, strings.TrimSpace(accepted))
				requests[name] = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path, accepted)
			}
		}
	}
	return requests
}

// forgedToken has the form of an access token, so that the server parses it.
const forgedToken = "eyJhbGciOiJFUzI1NiIsImtpZCI6IngiLCJ0eXAiOiJhdCtqd3QifQ." +
	"eyJpc3MiOiJ4In0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// costlyBodies returns bodies by name.
func costlyBodies() map[string]string {
	filled := func(prefix, repeated, suffix string) string {
		times := (bodyLimit - len(prefix) - len(suffix)) / len(repeated)
		return prefix + strings.Repeat(repeated, times) + suffix
	}
	var names strings.Builder
	for i := 0; names.Len() < bodyLimit-40; i++ {
		fmt.Fprintf(&names, `"%x":0,`, i)
	}
	return map[string]string{
		"nothing":         "",
		"an object":       "{}",
		"too much":        strings.Repeat(" ", bodyLimit+1),
		"many members":    "{" + names.String() + `"x":0}`,
		"many elements":   filled(`{"x":[`, "0,", "0]}"),
		"many objects":    filled(`{"x":[`, `{"a":0},`, "{}]}"),
		"a long name":     filled(`{"`, "a", `":0}`),
		"escapes":         filled(`{"email":"`, `\u0041`, `"}`),
		"a long email":    filled(`{"email":"`, "a.", `@example.com"}`),
		"a long password": filled(`{"name":"a","email":"a@example.com","password":"`, "é", `","confirm":"x"}`),
		"a weak password": fmt.Sprintf(`{"name":"Ada","email":"a@example.com","password":%q,"confirm":%[1]q}`,
			strings.Repeat("pa55word-", 14)),
		"a forged refresh token": fmt.Sprintf(`{"refreshToken":"AQ%s"}`, strings.Repeat("A", 74)),
		"a long refresh token":   filled(`{"refreshToken":"`, "A", `"}`),
	}
}

var loaded = regexp.MustCompile(`(?:src|href)="(?:\.\./)?(assets/[^"]+)"`)

// assets returns the paths of the assets that a page loads.
func (in *installation) assets(b *testing.B, page string) (paths []string) {
	b.Helper()
	c := dial(b, in.address)
	body, err := c.send([]byte("GET "+page+" HTTP/1.1\r\nHost: localhost\r\n\r\n"), http.StatusOK)
	if err != nil {
		b.Fatal(err)
	}
	for _, match := range loaded.FindAllSubmatch(body, -1) {
		paths = append(paths, "/"+string(match[1]))
	}
	return paths
}
