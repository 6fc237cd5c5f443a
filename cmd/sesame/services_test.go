package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/token"
)

// service is a running program that accepts the server's access tokens by itself.
type service struct{ name, url string }

// starter starts a service that was built, for the tokens of issuer for audience; algorithm is what signs them.
type starter func(t *testing.T, issuer, audience, algorithm string) service

// startService runs a program that says where it listens.
func startService(t *testing.T, name, folder, program string, args ...string) service {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = folder
	said, says := io.Pipe()
	command.Stdout, command.Stderr = says, says
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = says.CloseWithError(command.Wait()) // killed at the end of the test
	}()
	t.Cleanup(func() { <-ended })
	lines, output := bufio.NewScanner(said), ""
	for lines.Scan() {
		output += lines.Text() + "\n"
		if found := regexp.MustCompile(`listening on (http://\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return service{name: name, url: found[1]}
		}
	}
	t.Fatalf("%s does not listen: %v\n%s", name, lines.Err(), output)
	return service{}
}

// whoami is what the service answers to a token; "" sends none.
func (s service) whoami(t *testing.T, token string) (status int, user, challenge string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	var said struct{ User string }
	_ = json.Unmarshal(body, &said) // Express answers with a page
	return response.StatusCode, said.User, response.Header.Get("WWW-Authenticate")
}

// part is the header (0) or the claims (1) of a token.
func part(t *testing.T, token string, at int) (members struct{ Kid, Sub string }) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[at])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// fromNPM installs what a folder's lock file pins, in a copy of it.
func fromNPM(t *testing.T, folder string) string {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is missing: services in TypeScript and with Express are not tried")
	}
	installed := t.TempDir()
	if err := os.CopyFS(installed, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node_modules", "dist"} { // a developer's
		if err := os.RemoveAll(filepath.Join(installed, name)); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--prefer-offline", "--no-audit", "--no-fund")
	install.Dir = installed
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, output)
	}
	return installed
}

// goService is the Go example.
func goService(t *testing.T) starter {
	t.Helper()
	program := filepath.Join(t.TempDir(), "service-go")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../examples/service-go").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return func(t *testing.T, issuer, audience, _ string) service {
		return startService(t, "Go", "", program, "-addr", "127.0.0.1:0", "-issuer", issuer, "-audience", audience)
	}
}

// typeScriptService is the TypeScript example, which the compiler must have nothing to say about.
func typeScriptService(t *testing.T) starter {
	t.Helper()
	folder := fromNPM(t, "../../examples/service-typescript")
	build := exec.CommandContext(t.Context(), "npm", "run", "build")
	build.Dir = folder
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, output)
	}
	return func(t *testing.T, issuer, audience, _ string) service {
		return startService(t, "TypeScript", folder, "node", "dist/main.js", "--port", "0", "--issuer", issuer, "--audience", audience)
	}
}

// expressService finds the keys by discovery.
func expressService(t *testing.T) starter {
	t.Helper()
	folder := fromNPM(t, "testdata/express")
	return func(t *testing.T, issuer, audience, algorithm string) service {
		return startService(t, "Express", folder, "node", "main.js", issuer, audience, algorithm)
	}
}

// Services take the server's tokens and no others, while its keys are rotated and revoked under their feet, and while
// it is down.
func TestServices(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T) starter{
		"Go": goService, "TypeScript": typeScriptService, "Express": expressService,
	} {
		t.Run(name, func(t *testing.T) {
			start := prepare(t)
			for algorithm, engine := range map[string]databasetest.Engine{"ES256": databasetest.SQLite, "EdDSA": databasetest.Postgres} {
				t.Run(algorithm, func(t *testing.T) { tryService(t, engine, algorithm, start) })
			}
		})
	}
}

func tryService(t *testing.T, engine databasetest.Engine, algorithm string, start starter) {
	t.Helper()
	data := t.TempDir()
	p := newProcess(t, engine, "SESAME_RELOAD_KEYS=1s", "SESAME_DATA_DIR="+data, "SESAME_SECRET="+secretOfTests, "SESAME_SIGNING_ALGORITHM="+algorithm)
	if engine == databasetest.SQLite {
		p.database = "sqlite:" + filepath.Join(data, "sesame.db")
	}
	p.start(t)
	url := "http://" + p.api
	s := start(t, url, url, algorithm)
	tokens := p.login(t)
	good := func(when, token string) {
		t.Helper()
		if status, user, _ := s.whoami(t, token); status != http.StatusOK || user != part(t, token, 1).Sub {
			t.Errorf("%s: %d for %q", when, status, user)
		}
	}
	refused := func(when, token string) {
		t.Helper()
		if status, _, challenge := s.whoami(t, token); status != http.StatusUnauthorized || !strings.HasPrefix(challenge, `Bearer realm="`) {
			t.Errorf("%s: %d %s", when, status, challenge)
		}
	}
	first := tokens["accessToken"]
	good("a token", first)
	refused("no token", "")
	parts := strings.Split(first, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(claims), `"sub":"0`, `"sub":"1`, 1)
	refused("another user's id in it", parts[0]+"."+base64.RawURLEncoding.EncodeToString([]byte(changed))+"."+parts[2])
	refused("cut off", first[:len(first)-4])
	refused("garbage", "garbage")

	issue := p.issuer(t, algorithm)
	good("signed with the server's key", issue(url, url, time.Now()))
	refused("expired", issue(url, url, time.Now().Add(-time.Hour)))
	refused("for another audience", issue(url, "https://other.example", time.Now()))
	refused("of another issuer", issue("https://other.example", url, time.Now()))

	p.does(t, "", "keys", "rotate")
	eventually(t, "the next key is published", func() bool { good("while it is rotated", first); return p.publishedKeys(t) == 2 })
	active := part(t, first, 0).Kid
	p.does(t, "", "keys", "revoke", active)
	eventually(t, "the next key signs", func() bool {
		_, tokens = p.post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		return part(t, tokens["accessToken"], 0).Kid != active
	})
	good("of the key that stands in, at once", tokens["accessToken"])
	eventually(t, "what the revoked key signed is refused", func() bool {
		status, _, _ := s.whoami(t, first)
		return status == http.StatusUnauthorized
	})
	good("of the key that stands in", tokens["accessToken"])

	if _, err := p.end(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	good("while the server is down", tokens["accessToken"])
	refused("a forged one, while it is down", tokens["accessToken"][:len(tokens["accessToken"])-4])
}

// issuer signs with the running server's key what the server itself does not.
func (p *process) issuer(t *testing.T, algorithm string) func(issuer, audience string, at time.Time) string {
	t.Helper()
	db, err := database.Open(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	parsed, err := secret.Parse(secretOfTests)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := signing.Open(t.Context(), signing.Config{
		DB: db, Secrets: []secret.Secret{parsed}, Algorithm: signing.Algorithm(algorithm), TokenLifetime: 15 * time.Minute, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(issuer, audience string, at time.Time) string {
		text, err := token.NewAccessTokens(token.AccessConfig{
			Keys: ring, Issuer: issuer, Audience: audience, Lifetime: 15 * time.Minute, Now: func() time.Time { return at },
		}).Issue(uuid.New(), uuid.New(), at)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}
