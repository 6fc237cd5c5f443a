package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sesame-auth/sesame/internal/httpapi"
)

// tries is how many requests are sent until this server gets one, if several share the public URL.
const tries = 10

// checkClientIP sends a request to the public URL, and asks the server which IP address it saw.
func checkClientIP(ctx context.Context, e *examination) Finding {
	switch {
	case e.running == nil:
		return skip("needs a running server")
	case !e.reached:
		return skip("needs a public URL that can be reached from here")
	}
	client := e.publicClient(func(*tls.ConnectionState) {})
	defer client.CloseIdleConnections()
	id := rand.Text()
	for range tries {
		if _, _, err := get(ctx, client, e.PublicURL+"/auth/check", httpapi.DoctorAgent+id); err != nil {
			return skip("the request to the public URL failed: %s", err)
		}
		status, body, err := e.askAdmin(ctx, "/doctor/"+id)
		if err != nil {
			return skip("the admin listener does not respond: %s", err)
		}
		client.CloseIdleConnections() // the next connection may lead to another server
		var seen httpapi.Sighting
		if status == http.StatusOK && json.Unmarshal(body, &seen) == nil {
			return e.judgeSighting(seen)
		}
	}
	return skip("%d requests to the public URL did not reach this server: there may be several", tries)
}

// judgeSighting judges the IP address that the server saw.
func (e *examination) judgeSighting(seen httpapi.Sighting) Finding {
	const remedy = "Add the IP addresses of your proxies to SESAME_TRUSTED_PROXIES, and let them write X-Forwarded-For: " +
		"see Behind a proxy in docs/operations.md."
	switch {
	case seen.Problem != "":
		return warn(remedy, "the server sees %s for this client, from %s: %s", seen.IP, seen.Peer, seen.Problem)
	case seen.Trusted && seen.IP != seen.Peer:
		return ok("the server sees %s for this client, as the trusted proxy %s reports", seen.IP, seen.Peer)
	case seen.Trusted:
		return ok("the server sees %s for this client, which is one of SESAME_TRUSTED_PROXIES", seen.IP)
	case len(e.TrustedProxies) > 0 && !e.hasCertificate() && strings.HasPrefix(e.PublicURL, "https://"):
		return warn(remedy, "the server sees %s for this client, which is a proxy, because it handles TLS: "+
			"all clients share its rate limits", seen.IP)
	}
	return ok("the server sees %s for this client, the sender of the connection", seen.IP)
}
