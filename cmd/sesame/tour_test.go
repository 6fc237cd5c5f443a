package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

// The tour of the README runs as it is, twice, and prints what a reader would expect.
func TestTourOfTheREADME(t *testing.T) {
	script, _, _ := strings.Cut(strings.TrimPrefix(block(t, "README.md", "<!-- tour: a test runs this block as it is -->"), "```sh\n"), "```")
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine)
		p.start(t)
		script := strings.Replace(script, "http://127.0.0.1:8080", "http://"+p.api, 1)
		for _, registered := range []string{"User registered successfully", "email_taken"} {
			want := []string{registered, "Welcome, Ada Lovelace", "Logout successful"}
			if got := messages(t, p.shell(t, script)); !slices.Equal(got, want) {
				t.Errorf("the tour prints %q, want %q", got, want)
			}
		}
		if output, err := p.tryShell(t, strings.Replace(script, "/auth/login", "/auth/nowhere", 1)); err == nil || !strings.Contains(output, "This step failed.") {
			t.Errorf("a step that fails does not stop the tour: %v\n%s", err, output)
		}
		_, reset, _ := strings.Cut(block(t, "docs/getting-started.md", "<!-- reset: a test runs this block as it is -->"), "```sh\n")
		reset, _, _ = strings.Cut(reset, "```")
		want := []string{"If the email has an account, we have sent it a link to reset the password", "Password reset successful"}
		if got := messages(t, p.shell(t, strings.Replace(reset, "http://127.0.0.1:8080", "http://"+p.api, 1))); !slices.Equal(got, want) {
			t.Errorf("resetting prints %q, want %q", got, want)
		}
		said, err := p.end(t, syscall.SIGTERM)
		if err != nil {
			t.Errorf("on SIGTERM: %v", err)
		}
		_, logged, _ := strings.Cut(said, "\n{") // the banner has the example's password
		for _, secret := range []string{"horse battery", "even better horse", "eyJ", "#token="} {
			if strings.Contains(logged, secret) {
				t.Errorf("the log has %q", secret)
			}
		}
	})
}

// messages returns the message or the code of each JSON object in a script's output.
func messages(t *testing.T, output string) (messages []string) {
	t.Helper()
	for line := range strings.Lines(output) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		var body struct{ Message, Code string }
		if err := json.Unmarshal([]byte(line), &body); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		messages = append(messages, body.Message+body.Code)
	}
	return messages
}

// Node verifies a token knowing nothing but the published keys.
func TestNodeVerifiesAccessTokens(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("node is missing: .ci/setup installs it")
	}
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			p := newProcess(t, databasetest.SQLite, "SESAME_SIGNING_ALGORITHM="+algorithm)
			p.start(t)
			tokens := p.login(t)
			script, err := filepath.Abs("testdata/verify.mjs")
			if err != nil {
				t.Fatal(err)
			}
			verify := exec.CommandContext(t.Context(), node, script, "http://"+p.api+"/.well-known/jwks.json", tokens["accessToken"])
			output, err := verify.CombinedOutput()
			if err != nil || !strings.Contains(string(output), `"iss":"http://`+p.api+`"`) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}

func (p *process) login(t *testing.T) map[string]string {
	t.Helper()
	const body = `{"name":"Ada","email":"ada@example.com","password":"correct horse battery","confirm":"correct horse battery"}`
	if status, _ := p.post(t, "/auth/register", body); status != http.StatusCreated && status != http.StatusBadRequest {
		t.Fatalf("register: %d", status)
	}
	status, tokens := p.post(t, "/auth/login", body)
	if status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	return tokens
}

func (p *process) post(t *testing.T, path, body string, headers ...string) (int, map[string]string) {
	t.Helper()
	status, answer, err := p.tryPost(t.Context(), path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

// What was acknowledged is there after kill -9 and a new start: the user, the session, the letter.
func TestKilledAndStartedAgain(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := newProcess(t, engine, "SESAME_THROTTLE=off") // an address gets one letter a minute
		p.start(t)
		tokens := p.login(t)
		for cycle := range 3 {
			status, next := p.post(t, "/auth/refresh-tokens", `{"refreshToken":"`+tokens["refreshToken"]+`"}`)
			if status != http.StatusOK {
				t.Fatalf("refresh in cycle %d: %d", cycle, status)
			}
			if status, _ := p.post(t, "/auth/forgot-password", `{"email":"ada@example.com"}`); status != http.StatusAccepted {
				t.Fatalf("forgot password: %d", status)
			}
			if _, err := p.end(t, syscall.SIGKILL); err == nil {
				t.Fatal("kill -9 is no success")
			}
			p.start(t)
			if status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+next["accessToken"]); status != http.StatusOK {
				t.Errorf("the access token after the start: %d", status)
			}
			tokens = next
		}
		if status, _ := p.post(t, "/auth/logout", `{"refreshToken":"`+tokens["refreshToken"]+`"}`); status != http.StatusOK {
			t.Errorf("logout: %d", status)
		}
		if _, err := p.end(t, syscall.SIGKILL); err == nil {
			t.Fatal("kill -9 is no success")
		}
		p.expectLetters(t, 3)
		p.start(t)
		if status, _ := p.post(t, "/auth", "", "Authorization", "Bearer "+tokens["accessToken"]); status != http.StatusUnauthorized {
			t.Errorf("after a logout that was acknowledged: %d", status)
		}
	})
}

// expectLetters asserts that n letters were written or still wait: a letter in hand when the server was killed
// waits until the lease on it is over.
func (p *process) expectLetters(t *testing.T, n int) {
	t.Helper()
	written, err := filepath.Glob(filepath.Join(p.folder, "sesame-data", "mail", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), p.database)
	if err != nil {
		t.Fatal(err)
	}
	var waiting int64
	if err := errors.Join(db.WithContext(t.Context()).Table("outbox").Count(&waiting).Error, db.Close()); err != nil {
		t.Fatal(err)
	}
	if len(written)+int(waiting) < n {
		t.Errorf("%d letters written and %d waiting, of %d", len(written), waiting, n)
	}
}

// The first start leaves a folder that only its owner reads.
func TestDataFolder(t *testing.T) {
	p := newProcess(t, databasetest.SQLite)
	p.start(t)
	p.login(t)
	if status, _ := p.post(t, "/auth/forgot-password", `{"email":"ada@example.com"}`); status != http.StatusAccepted {
		t.Fatalf("forgot password: %d", status)
	}
	p.shell(t, `until ls sesame-data/mail/*.eml >&/dev/null; do sleep 0.1; done`)
	said, err := p.end(t, syscall.SIGTERM)
	if err != nil {
		t.Error(err)
	}
	secret, err := os.ReadFile(filepath.Join(p.folder, "sesame-data", "secret"))
	if err != nil || strings.Contains(said, strings.TrimSpace(string(secret))) {
		t.Errorf("the secret: %v", err)
	}
	err = filepath.Walk(filepath.Join(p.folder, "sesame-data"), func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, words := range []string{"API       http://" + p.api, "OpenAPI   http://" + p.api + "/openapi.yaml", "docs      http://" + p.api + "/docs", "/.well-known/jwks.json", "http://" + p.admin + "/dev/mail (files in ", "sesame-data/mail", "curl -s"} {
		if !strings.Contains(said, words) {
			t.Errorf("at start it does not say %q:\n%s", words, said)
		}
	}
	if !regexp.MustCompile(`"msg":"request".*"route":"/auth/forgot-password","status":202`).MatchString(said) {
		t.Errorf("the log has no line for a request:\n%s", said)
	}
}

// SIGTERM lets a request in hand finish, and no more in.
func TestDrain(t *testing.T) {
	p := newProcess(t, databasetest.SQLite)
	p.start(t)
	p.login(t)
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "tcp", p.api)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	const body = `{"email":"ada@example.com","password":"correct horse battery"}`
	head := fmt.Sprintf("POST /auth/login HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", p.api, len(body))
	if _, err := io.WriteString(connection, head); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(connection)
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // it is in hand now
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answer.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.shell(t, "while (: < /dev/tcp/"+strings.Replace(p.api, ":", "/", 1)+") 2> /dev/null; do sleep 0.05; done") // until nobody else is let in
	if _, err := io.WriteString(connection, body); err != nil {
		t.Fatal(err)
	}
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		t.Errorf("the request in hand: %q, %v", line, err)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("on SIGTERM: %v", err)
	}
}
