package bench

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/sesame-auth/sesame/internal/porttest"
)

// startPocketBase starts a PocketBase (v0.23 or newer) with its default collection of users. Its
// refresh makes a token and stores nothing.
func startPocketBase(b *testing.B, program string) (p peer) {
	b.Helper()
	address, folder := porttest.Address(b), "--dir="+b.TempDir()
	// Without a superuser it opens a page in a browser.
	superuser := exec.Command(program, "superuser", "upsert", "root@example.com", userPassword, folder)
	if output, err := superuser.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", superuser, err, output)
	}
	start(b, nil, program, "serve", "--http="+address, folder).awaitOK(b, "http://"+address+"/api/health")
	const collection = "/api/collections/users"
	for i := range connections {
		c := dial(b, address)
		user := fmt.Sprintf(`{"email":%q,"password":%q,"passwordConfirm":%[2]q,"name":"User"}`, emailOf(i), userPassword)
		if _, err := c.send(request(collection+"/records", "", user), 200); err != nil {
			b.Fatal(err)
		}
		login := request(collection+"/auth-with-password", "",
			fmt.Sprintf(`{"identity":%q,"password":%q}`, emailOf(i), userPassword))
		var session struct {
			Token  string
			Record struct{ ID string }
		}
		if err := c.sendJSON(login, &session); err != nil {
			b.Fatal(err)
		}
		header := "Authorization: " + session.Token + "\r\n"
		p.login = append(p.login, repeating(c, login))
		p.refresh = append(p.refresh, repeating(c, request(collection+"/auth-refresh", header, "")))
		p.authenticate = append(p.authenticate, repeating(c, get(collection+"/records/"+session.Record.ID, header)))
	}
	return p
}
