package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/httpapi"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// The admin listener says how a request of `sesame doctor` reached the API. The API does not, and
// only the last few requests are remembered, because any client can send them.
func TestSightings(t *testing.T) {
	s := servertest.Start(t, databasetest.SQLite, servertest.Options{BehindProxy: true})
	id := func(i int) string { return fmt.Sprintf("%026d", i) }
	send := func(agent string, headers ...string) {
		t.Helper()
		s.Do(t, http.MethodGet, "/auth/check", "", append(headers, "User-Agent", agent)...)
	}
	ask := func(url, id string) servertest.Response {
		t.Helper()
		return servertest.Do(t, http.DefaultClient, http.MethodGet, url+"/doctor/"+id, "")
	}
	send(httpapi.DoctorAgent+id(0), "X-Forwarded-For", "203.0.113.7")
	send(httpapi.DoctorAgent + id(1))
	seen := ask(s.AdminURL, id(0))
	if seen.Status != 200 || strings.TrimSpace(seen.Raw) != `{"ip":"203.0.113.7","peer":"127.0.0.1","trusted":true}` {
		t.Errorf("%d %s", seen.Status, seen.Raw)
	}
	seen = ask(s.AdminURL, id(1))
	if seen.Text("ip") != "127.0.0.1" || !strings.Contains(seen.Text("problem"), "neither") {
		t.Errorf("%s", seen.Raw)
	}
	if response := ask(s.URL, id(0)); response.Status != 404 {
		t.Errorf("the API returns %d", response.Status)
	}
	send(httpapi.DoctorAgent + "short")
	send("curl/8.0")
	for _, unknown := range []string{"short", id(2), "", "curl%2F8.0", strings.Repeat("0", 25)} {
		if response := ask(s.AdminURL, unknown); response.Status != 404 {
			t.Errorf("%q: %d %s", unknown, response.Status, response.Raw)
		}
	}
	for i := range 8 {
		send(httpapi.DoctorAgent + id(10+i))
	}
	for id, want := range map[string]int{id(1): 404, id(10): 200, id(17): 200} {
		if response := ask(s.AdminURL, id); response.Status != want {
			t.Errorf("%s: %d, want %d", id, response.Status, want)
		}
	}
}
