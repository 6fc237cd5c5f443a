package bench

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

const userPassword = "correct horse battery staple"

// installation is a running Sesame with one user for each connection.
type installation struct {
	engine      databasetest.Engine
	databaseURL string
	address     string // of the API
	admin       string // of the admin listener
	environment []string
	server      *process
	idleMiB     float64 // the memory of the server before its first request; 0 if it cannot be measured
}

// install starts a Sesame for one benchmark. The settings add to or replace those of
// serverEnvironment.
func install(b *testing.B, engine databasetest.Engine, settings ...string) *installation {
	b.Helper()
	folder := b.TempDir()
	in := &installation{
		engine: engine, address: porttest.Address(b), admin: porttest.Address(b),
		databaseURL: "sqlite:" + filepath.Join(folder, "sesame.db"),
	}
	environment := serverEnvironment(folder, in.address, in.admin)
	if engine == databasetest.Postgres {
		in.databaseURL = databasetest.URL(b, engine)
		secret := base64.StdEncoding.EncodeToString([]byte(rand.Text() + rand.Text()))
		environment = append(environment, "SESAME_DATABASE_URL="+in.databaseURL, "SESAME_SECRET="+secret)
	}
	in.environment = slices.Concat(environment, settings)
	in.server = start(b, in.environment, "sesame", "serve")
	in.server.awaitReady(b, in.admin)
	in.idleMiB = in.server.memoryMiB(b, "VmRSS")
	in.forEachUser(b, func(i int, c *connection) error {
		body := fmt.Sprintf(`{"name":"User %d","email":%q,"password":%q,"confirm":%q}`,
			i, emailOf(i), userPassword, userPassword)
		for { // until the password is hashed in time
			status, err := c.exchange(request("/auth/register", "", body))
			if err != nil || status == 201 {
				return err
			}
			if status != 503 {
				return fmt.Errorf("register: unexpected status %d: %s", status, c.body)
			}
		}
	})
	return in
}

// serverEnvironment returns the configuration of a Sesame with SQLite in folder.
func serverEnvironment(folder, address, admin string) []string {
	return []string{
		"SESAME_DATA_DIR=" + folder,
		"SESAME_ADDR=" + address,
		"SESAME_ADMIN_ADDR=" + admin,
		"SESAME_LOG_LEVEL=warn",
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

func loginRequest(i int) []byte {
	return request("/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, emailOf(i), userPassword))
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
