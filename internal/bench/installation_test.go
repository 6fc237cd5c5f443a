package bench

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/secret"
)

const userPassword = "correct horse battery staple"

// installation is a Sesame with a database of its own.
type installation struct {
	engine      databasetest.Engine
	databaseURL string
	secret      secret.Secret
	address     string // of the API
	admin       string // of the admin listener
	environment []string
	isProxied   bool     // see behindProxy
	server      *process // nil: not started
	idleMiB     float64  // the memory of the server before its first request; 0 if it cannot be measured
}

// install starts a Sesame for one benchmark, with one user for each connection. The settings add to
// or replace those of serverEnvironment.
func install(b *testing.B, engine databasetest.Engine, settings ...string) *installation {
	b.Helper()
	in := prepare(b, engine, databasetest.URL(b, engine), settings...)
	in.serve(b)
	in.register(b)
	return in
}

// prepare returns an installation with a migrated database. It is not started.
func prepare(b *testing.B, engine databasetest.Engine, databaseURL string, settings ...string) *installation {
	b.Helper()
	in := &installation{
		engine: engine, databaseURL: databaseURL, secret: secret.Secret(rand.Text() + rand.Text()),
		address: porttest.Address(b), admin: porttest.Address(b), isProxied: slices.Contains(settings, behindProxy),
	}
	folder := filepath.Dir(strings.TrimPrefix(databaseURL, "sqlite:"))
	if engine == databasetest.Postgres {
		folder = b.TempDir()
	}
	if err := os.Chmod(folder, 0o700); err != nil {
		b.Fatal(err)
	}
	environment := serverEnvironment(folder, in.address, in.admin)
	environment = append(environment, "SESAME_SECRET="+base64.StdEncoding.EncodeToString(in.secret))
	if engine == databasetest.Postgres {
		environment = append(environment, "SESAME_DATABASE_URL="+databaseURL)
	}
	in.environment = slices.Concat(environment, settings)
	return in
}

// serve starts the server.
func (in *installation) serve(b *testing.B) {
	b.Helper()
	in.server = start(b, in.environment, "sesame", "serve")
	in.server.awaitReady(b, in.admin)
	in.idleMiB = in.server.memoryMiB(b, "VmRSS")
}

// register registers a user for each connection.
func (in *installation) register(b *testing.B) {
	b.Helper()
	in.forEachUser(b, func(i int, c *connection) error {
		header := ""
		if in.isProxied {
			header = newNetwork()
		}
		return c.sendHashed(registerRequest(emailOf(i), header), 201)
	})
}

// serverEnvironment returns the configuration of a Sesame with SQLite in folder.
func serverEnvironment(folder, address, admin string) []string {
	return []string{
		"SESAME_DATA_DIR=" + folder,
		"SESAME_ADDR=" + address,
		"SESAME_ADMIN_ADDR=" + admin,
		"SESAME_LOG_LEVEL=error", // it is a warning that a busy machine could not hash a password in time
		"SESAME_THROTTLE=off",
		"SESAME_DRAIN_DELAY=0s",
	}
}

// startFloor starts the program floor with the same database and returns its address.
func (in *installation) startFloor(b *testing.B) string {
	b.Helper()
	address := porttest.Address(b)
	start(b, []string{"FLOOR_ADDR=" + address, "FLOOR_DATABASE_URL=" + in.databaseURL}, "floor").awaitReady(b, address)
	return address
}

// session is the result of a login.
type session struct{ user, id, accessToken, refreshToken string }

// logIn logs each user in.
func (in *installation) logIn(b *testing.B) []session {
	b.Helper()
	sessions := make([]session, connections)
	in.forEachUser(b, func(i int, c *connection) error {
		body, err := c.send(loginRequest(i), 200)
		if err != nil {
			return err
		}
		sessions[i], err = parseSession(body)
		return err
	})
	return sessions
}

// forEachUser calls do for every user, as many at once as the server can hash passwords at once.
func (in *installation) forEachUser(b *testing.B, do func(i int, c *connection) error) {
	b.Helper()
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range connections {
		c := dial(b, in.address)
		group.Go(func() error { return do(i, c) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func emailOf(i int) string { return fmt.Sprintf("user-%d@example.com", i) }

func loginRequest(i int) []byte { return loginFrom(emailOf(i), "") }

// loginFrom returns a login with more header lines.
func loginFrom(email, header string) []byte {
	return request("/auth/login", header, fmt.Sprintf(`{"email":%q,"password":%q}`, email, userPassword))
}

// registerRequest returns a registration with more header lines.
func registerRequest(email, header string) []byte {
	return request("/auth/register", header, fmt.Sprintf(`{"name":"User","email":%q,"password":%q,"confirm":%q}`,
		email, userPassword, userPassword))
}

// behindProxy makes the server trust the X-Forwarded-For of a proxy on this machine, which every
// request must have.
const behindProxy = "SESAME_TRUSTED_PROXIES=127.0.0.1"

var lastNetwork atomic.Uint32

// newNetwork returns a header line with an IP address from a network that was not used before.
func newNetwork() string {
	n := lastNetwork.Add(1) // the next network of 256 addresses
	return fmt.Sprintf("X-Forwarded-For: %d.%d.%d.7\r\n", 11+n>>16&127, n>>8&255, n&255)
}

// parseSession parses the response to a login and its access token.
func parseSession(body []byte) (session, error) {
	var tokens struct{ AccessToken, RefreshToken string }
	if err := json.Unmarshal(body, &tokens); err != nil {
		return session{}, err
	}
	_, payload, _ := strings.Cut(tokens.AccessToken, ".")
	payload, _, _ = strings.Cut(payload, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return session{}, err
	}
	var claims struct{ Sub, Sid string }
	err = json.Unmarshal(decoded, &claims)
	return session{
		user: claims.Sub, id: claims.Sid, accessToken: tokens.AccessToken, refreshToken: tokens.RefreshToken,
	}, err
}

// logDurability logs a message if commits are less durable than in production.
func (in *installation) logDurability(b *testing.B) {
	b.Helper()
	if in.engine == databasetest.SQLite {
		if folder := filepath.Dir(strings.TrimPrefix(in.databaseURL, "sqlite:")); isInMemory(folder) {
			b.Logf("commits are not durable: %s is in memory; set TMPDIR to a folder on a disk", folder)
		}
		return
	}
	db, err := database.Open(b.Context(), in.databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	var fsync, synchronous string
	query := "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
	row := db.WithContext(b.Context()).Raw(query).Row()
	if err := row.Scan(&fsync, &synchronous); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	if fsync == "off" || synchronous == "off" {
		b.Logf("commits are not durable: PostgreSQL runs with fsync=%s, synchronous_commit=%s", fsync, synchronous)
	}
}
