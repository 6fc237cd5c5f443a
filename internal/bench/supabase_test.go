package bench

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

// startSupabase starts a Supabase Auth (github.com/supabase/auth) with a database of its own, as many
// database connections as clients, and no rate limits.
func startSupabase(b *testing.B, program string) (p peer) {
	b.Helper()
	databaseURL, address := databasetest.Empty(b, databasetest.Postgres), porttest.Address(b)
	r := openRows(b, databasetest.Postgres, databaseURL)
	r.mustExec(b, "CREATE SCHEMA auth")
	r.close()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.Fatal(err)
	}
	environment := []string{
		"GOTRUE_DB_DRIVER=postgres", "DATABASE_URL=" + databaseURL + "&search_path=auth",
		"DB_NAMESPACE=auth", "GOTRUE_DB_MAX_POOL_SIZE=16", "GOTRUE_DB_MAX_IDLE_POOL_SIZE=16",
		"GOTRUE_API_HOST=" + host, "PORT=" + port, "API_EXTERNAL_URL=http://" + address, "GOTRUE_SITE_URL=http://" + address,
		"GOTRUE_JWT_SECRET=" + userPassword + userPassword, "GOTRUE_JWT_EXP=3600", "GOTRUE_JWT_AUD=authenticated",
		"GOTRUE_JWT_DEFAULT_GROUP_NAME=authenticated", "GOTRUE_MAILER_AUTOCONFIRM=true", "GOTRUE_LOG_LEVEL=error",
	}
	migrate := exec.Command(program, "migrate")
	migrate.Dir, migrate.Env = b.TempDir(), append(os.Environ(), environment...)
	if output, err := migrate.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", migrate, err, output)
	}
	start(b, environment, program, "serve").awaitOK(b, "http://"+address+"/health")
	for i := range connections {
		c := dial(b, address)
		credentials := fmt.Sprintf(`{"email":%q,"password":%q}`, emailOf(i), userPassword)
		if _, err := c.send(request("/signup", "", credentials), 200); err != nil {
			b.Fatal(err)
		}
		login := request("/token?grant_type=password", "", credentials)
		var session struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
		}
		if err := c.sendJSON(login, &session); err != nil {
			b.Fatal(err)
		}
		p.login = append(p.login, repeating(c, login))
		p.authenticate = append(p.authenticate, repeating(c, get("/user", "Authorization: Bearer "+session.Access+"\r\n")))
		p.refresh = append(p.refresh, func() error {
			body := fmt.Sprintf(`{"refresh_token":%q}`, session.Refresh)
			return c.sendJSON(request("/token?grant_type=refresh_token", "", body), &session)
		})
	}
	return p
}
