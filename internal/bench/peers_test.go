package bench

import (
	"encoding/json"
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

var peers = flag.String("peers", "", "other servers for BenchmarkPeers, such as pocketbase=PATH,supabase=PATH")

// peer is another server with users.
type peer struct{ login, refresh, authenticate []caller }

// knownPeers are the servers that can be compared, and the engine that they use.
var knownPeers = map[string]struct {
	engine databasetest.Engine
	start  func(b *testing.B, program string) peer
}{
	"pocketbase": {databasetest.SQLite, startPocketBase},
	"supabase":   {databasetest.Postgres, startSupabase},
}

// BenchmarkPeers compares Sesame to the servers of -peers.
func BenchmarkPeers(b *testing.B) {
	if *peers == "" {
		b.Skip("run make bench PEERS=pocketbase=PATH,supabase=PATH")
	}
	for one := range strings.SplitSeq(*peers, ",") {
		name, path, _ := strings.Cut(one, "=")
		known, ok := knownPeers[name]
		if !ok {
			b.Fatalf("-peers: %q is not pocketbase or supabase", name)
		}
		b.Run(name, func(b *testing.B) {
			in, p := install(b, known.engine, "SESAME_THROTTLE=on"), known.start(b, peerPath(path))
			sessions, refreshed := in.logIn(b), in.logIn(b)
			refresh, login := make([]caller, connections), make([]caller, connections)
			for i := range connections {
				c := dial(b, in.address)
				refresh[i] = refreshing(c, refreshed[i].refreshToken, "")
				login[i] = func() error { return c.sendHashed(loginRequest(i), 200) }
			}
			comparePeer(b, "authenticate", p.authenticate, posting(b, in.address, func(i int) []byte {
				return request("/auth", "Authorization: Bearer "+sessions[i].accessToken+"\r\n", "")
			}))
			comparePeer(b, "refresh", p.refresh, refresh)
			comparePeer(b, "login", p.login, login)
		})
	}
}

// peerPath returns the absolute path of a program. A relative one begins at the root of the repository.
func peerPath(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join("../..", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path // starting it fails
	}
	return absolute
}

// comparePeer measures both servers in turns. ratio is Sesame's rate divided by the peer's.
func comparePeer(b *testing.B, operation string, other, server []caller) {
	b.Helper()
	b.Run(operation, func(b *testing.B) {
		c := compare(b, other, server)
		b.ReportMetric(0, "ns/op") // 0 hides it: the duration of the whole measurement is no result
		b.ReportMetric(c.server.perSecond(), "req/s")
		b.ReportMetric(c.floor.perSecond(), "peer-req/s")
		b.ReportMetric(c.server.percentile(99), "p99-ms")
		b.ReportMetric(c.floor.percentile(99), "peer-p99-ms")
		b.ReportMetric(c.server.perSecond()/c.floor.perSecond(), "ratio")
	})
}

// sendJSON sends a request with the status 200 and decodes the response.
func (c *connection) sendJSON(request []byte, response any) error {
	body, err := c.send(request, 200)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, response)
}
