// Package examples_test tests services that verify access tokens: the examples, and programs with
// libraries that know nothing of Sesame.
package examples_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
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
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/server/servertest"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/token"
)

func TestMain(m *testing.M) { processtest.Main(m) }

// A service is a running program that verifies access tokens.
type service struct{ name, url string }

// A starter starts a service that accepts the tokens of an issuer for an audience, signed with an
// algorithm.
type starter func(t *testing.T, issuer, audience, algorithm string) service

// startService runs a program that prints the URL on which it listens.
func startService(t *testing.T, name, folder, program string, args ...string) service {
	t.Helper()
	command := exec.CommandContext(t.Context(), program, args...)
	command.Dir = folder
	output, write := io.Pipe()
	command.Stdout, command.Stderr = write, write
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = write.CloseWithError(command.Wait()) // the end of the test kills it
	}()
	t.Cleanup(func() { <-ended })
	lines, printed := bufio.NewScanner(output), ""
	for lines.Scan() {
		printed += lines.Text() + "\n"
		if found := regexp.MustCompile(`listening on (http://\S+)`).FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }()
			return service{name: name, url: found[1]}
		}
	}
	t.Fatalf("%s does not listen: %v\n%s", name, lines.Err(), printed)
	return service{}
}

// whoami asks the service who the user of a token is. An empty token is not sent.
func (s service) whoami(t *testing.T, token string) (status int, user, challenge string) {
	t.Helper()
	var headers []string
	if token != "" {
		headers = []string{"Authorization", "Bearer " + token}
	}
	response := servertest.Do(t, http.DefaultClient, http.MethodGet, s.url+"/whoami", "", headers...)
	user, _ = response.Body["user"].(string)
	return response.Status, user, response.Header.Get("WWW-Authenticate")
}

// decode returns members of the header (0) or the claims (1) of a token.
func decode(t *testing.T, token string, part int) (members struct{ Kid, Sub string }) {
	t.Helper()
	content, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// npmInstall copies a folder and installs the packages of its lock file there.
func npmInstall(t *testing.T, folder string) (copied string) {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is missing: the services in TypeScript and JavaScript are not tested")
	}
	copied = t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node_modules", "dist"} { // what a developer may have built
		if err := os.RemoveAll(filepath.Join(copied, name)); err != nil {
			t.Fatal(err)
		}
	}
	processtest.Program(t, copied, nil, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
	return copied
}

// goService prepares examples/service-go.
func goService(t *testing.T) starter {
	t.Helper()
	program := filepath.Join(t.TempDir(), "service-go")
	processtest.Program(t, ".", nil, "go", "build", "-o", program, "./service-go")
	return func(t *testing.T, issuer, audience, _ string) service {
		return startService(t, "Go", "", program, "-addr", "127.0.0.1:0", "-issuer", issuer, "-audience", audience)
	}
}

// typeScriptService prepares examples/service-typescript.
func typeScriptService(t *testing.T) starter {
	t.Helper()
	folder := npmInstall(t, "service-typescript")
	processtest.Program(t, folder, nil, "npm", "run", "build")
	return func(t *testing.T, issuer, audience, _ string) service {
		return startService(t, "TypeScript", folder,
			"node", "dist/main.js", "--port", "0", "--issuer", issuer, "--audience", audience)
	}
}

// audience is SESAME_AUDIENCE of the servers. It differs from the issuer.
const audience = "https://api.example.com"

// limits are what a service does less well than the examples, as docs/verify.md says.
type limits struct {
	noChallenge  bool // a 401 has no WWW-Authenticate
	anyType      bool // JWTs of other types are accepted
	keepsRevoked bool // a revoked key is trusted until the cache expires
	needsServer  bool // no token is accepted while the server is down
}

// Services accept only the server's access tokens, while its keys are rotated and revoked and while
// it is down.
func TestServices(t *testing.T) {
	engines := map[string]databasetest.Engine{"ES256": databasetest.SQLite, "EdDSA": databasetest.Postgres}
	for name, prepare := range map[string]func(t *testing.T) starter{
		"Go": goService, "TypeScript": typeScriptService,
	} {
		t.Run(name, func(t *testing.T) {
			start := prepare(t)
			for algorithm, engine := range engines {
				t.Run(algorithm, func(t *testing.T) { testService(t, engine, algorithm, start, limits{}) })
			}
		})
	}
}

func testService(t *testing.T, engine databasetest.Engine, algorithm string, start starter, limits limits) {
	t.Helper()
	server := newServer(t, engine, algorithm)
	server.Start(t)
	url := "http://" + server.API
	s := start(t, url, audience, algorithm)
	tokens := server.Login(t)
	accepted := func(when, token string) {
		t.Helper()
		if status, user, _ := s.whoami(t, token); status != http.StatusOK || user != decode(t, token, 1).Sub {
			t.Errorf("%s: %d for user %q", when, status, user)
		}
	}
	rejected := func(when, token string) {
		t.Helper()
		status, _, challenge := s.whoami(t, token)
		challenged := limits.noChallenge || strings.HasPrefix(challenge, `Bearer realm="`)
		if status != http.StatusUnauthorized || !challenged {
			t.Errorf("%s: %d %s", when, status, challenge)
		}
	}
	first := tokens["accessToken"]
	accepted("a valid token", first)
	rejected("no token", "")
	rejected("changed user id", changeUser(t, first))
	rejected("truncated", first[:len(first)-4])
	rejected("garbage", "garbage")

	ring := openKeys(t, server, algorithm)
	now, past := time.Now(), time.Now().Add(-time.Hour)
	accepted("signed with the server's key", issue(t, ring, url, audience, now))
	rejected("expired", issue(t, ring, url, audience, past))
	rejected("expired a second ago", issue(t, ring, url, audience, now.Add(-15*time.Minute-time.Second)))
	rejected("another audience", issue(t, ring, url, "https://other.example", now))
	rejected("the issuer as the audience", issue(t, ring, url, url, now))
	rejected("another issuer", issue(t, ring, "https://other.example", audience, now))
	rejected("without an audience", sign(t, ring, "at+jwt", strings.Replace(claimsOf(t, first), `"aud"`, `"other"`, 1)))
	rejected("with an unknown key", unknownKey(first, algorithm))
	accepted("signed again", sign(t, ring, "at+jwt", claimsOf(t, first)))
	if !limits.anyType {
		rejected("another type", sign(t, ring, "JWT", claimsOf(t, first)))
	}

	server.MustRun(t, "", "keys", "rotate")
	processtest.Eventually(t, "the next key is published", func() bool {
		accepted("while the key is rotated", first)
		return server.PublishedKeys(t) == 2
	})
	active := decode(t, first, 0).Kid
	server.MustRun(t, "", "keys", "revoke", active)
	processtest.Eventually(t, "the next key signs", func() bool {
		_, tokens = server.Post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
		return decode(t, tokens["accessToken"], 0).Kid != active
	})
	accepted("the first token of the next key", tokens["accessToken"])
	if !limits.keepsRevoked {
		processtest.Eventually(t, "tokens of the revoked key are rejected", func() bool {
			status, _, _ := s.whoami(t, first)
			return status == http.StatusUnauthorized
		})
	}
	accepted("the next key, after the revocation", tokens["accessToken"])

	if _, err := server.Stop(t, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if !limits.needsServer {
		accepted("while the server is down", tokens["accessToken"])
	}
	rejected("truncated, while the server is down", tokens["accessToken"][:len(tokens["accessToken"])-4])
}

// newServer returns a server with a known secret, which reloads its keys every second.
func newServer(t *testing.T, engine databasetest.Engine, algorithm string) *processtest.Server {
	t.Helper()
	return processtest.New(t, engine, "SESAME_RELOAD_KEYS=1s", "SESAME_SECRET="+processtest.Secret,
		"SESAME_SIGNING_ALGORITHM="+algorithm, "SESAME_AUDIENCE="+audience)
}

// claimsOf returns the claims of a token as JSON.
func claimsOf(t *testing.T, token string) string {
	t.Helper()
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(claims)
}

// changeUser changes the user id in the claims of a token.
func changeUser(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	changed := strings.Replace(claimsOf(t, token), `"sub":"0`, `"sub":"1`, 1)
	return parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(changed)) + "." + parts[2]
}

// unknownKey replaces the header of a token with one that names a key that does not exist.
func unknownKey(token, algorithm string) string {
	_, rest, _ := strings.Cut(token, ".")
	header := `{"alg":"` + algorithm + `","kid":"invented","typ":"at+jwt"}`
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
}

// openKeys returns the keys of the server.
func openKeys(t *testing.T, server *processtest.Server, algorithm string) *signing.Keyring {
	t.Helper()
	db, err := database.Open(t.Context(), server.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	parsed, err := secret.Parse(processtest.Secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := signing.Open(t.Context(), signing.Config{
		DB:            db,
		Secrets:       []secret.Secret{parsed},
		Algorithm:     signing.Algorithm(algorithm),
		TokenLifetime: 15 * time.Minute,
		Now:           time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// issue returns an access token, signed with the server's key, that the server would not issue.
func issue(t *testing.T, ring *signing.Keyring, issuer, audience string, at time.Time) string {
	t.Helper()
	tokens := token.NewAccessTokens(token.AccessConfig{
		Keys:     ring,
		Issuer:   issuer,
		Audience: audience,
		Lifetime: 15 * time.Minute,
		Now:      func() time.Time { return at },
	})
	text, err := tokens.Issue(token.Access{User: uuid.New(), Session: uuid.New(), AuthTime: at})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign returns a JWT of any type with any claims, signed with the server's key.
func sign(t *testing.T, ring *signing.Keyring, kind, claims string) string {
	t.Helper()
	key, header := ring.Active(), jws.NewHeaders()
	if err := errors.Join(header.Set(jws.KeyIDKey, key.Kid), header.Set(jws.TypeKey, kind)); err != nil {
		t.Fatal(err)
	}
	signer := jws.WithKey(key.SignatureAlgorithm(), key.Private, jws.WithProtectedHeaders(header))
	signed, err := jws.Sign([]byte(claims), signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// Node verifies a token with nothing but the published keys and its own cryptography.
func TestVerifyWithNode(t *testing.T) {
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			server := newServer(t, databasetest.SQLite, algorithm)
			server.Start(t)
			tokens := server.Login(t)
			keys := "http://" + server.API + "/.well-known/jwks.json"
			claims := processtest.Program(t, ".", nil, "node", "testdata/verify.mjs", keys, tokens["accessToken"])
			if !strings.Contains(claims, `"iss":"http://`+server.API+`"`) {
				t.Errorf("the claims are %s", claims)
			}
		})
	}
}
