package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

// DoctorAgent is how the User-Agent of `sesame doctor` begins. A random id of doctorID characters
// follows.
const DoctorAgent = "sesame-doctor/"

const doctorID = 26

// Sighting is how a request of `sesame doctor` reached the server.
type Sighting struct {
	IP      string `json:"ip"`                // counts as the client's
	Peer    string `json:"peer"`              // IP address of the connection, or "unix socket"
	Trusted bool   `json:"trusted"`           // the peer is one of the trusted proxies
	Problem string `json:"problem,omitempty"` // why the client's IP address is unknown
}

// Sightings remember the last requests of `sesame doctor`. It sends them to the public URL, and asks
// the admin listener what the server saw: whether the proxies in between report its IP address. Any
// client can send such requests, so only a few are remembered.
type Sightings struct {
	mu   sync.Mutex
	last [8]struct {
		id string
		Sighting
	}
	next int
}

// see remembers a request if it is from `sesame doctor`.
func (s *Sightings) see(r *http.Request, proxies Proxies, ip string, unknown error) {
	id, ok := strings.CutPrefix(r.UserAgent(), DoctorAgent)
	if !ok || len(id) != doctorID {
		return
	}
	peer := peerOf(r)
	seen := Sighting{IP: ip, Peer: peer, Trusted: proxies.trustPeer(peer)}
	if address, ok := parseNode(peer); ok {
		seen.Peer = address.String()
	}
	if unknown != nil {
		seen.Problem = unknown.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[s.next].id, s.last[s.next].Sighting = id, seen
	s.next = (s.next + 1) % len(s.last)
}

// ServeHTTP returns the sighting of the id in the path, or 404.
func (s *Sightings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seen := range s.last {
		if id := r.PathValue("id"); id != "" && seen.id == id {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(seen.Sighting) // the client may have disconnected
			return
		}
	}
	writeStatus(w, http.StatusNotFound, "not seen")
}
