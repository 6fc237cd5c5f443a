package processtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// The user that Login registers.
const (
	Email    = "ada@example.com"
	Password = "correct horse battery"
)

// Login registers Ada, unless she has an account, logs her in and returns the tokens.
func (s *Server) Login(t *testing.T) map[string]string {
	t.Helper()
	const body = `{"name":"Ada","email":"` + Email + `","password":"` + Password + `","confirm":"` + Password + `"}`
	status, _ := s.Post(t, "/auth/register", body)
	if status != http.StatusCreated && status != http.StatusBadRequest {
		t.Fatalf("register: %d", status)
	}
	status, tokens := s.Post(t, "/auth/login", body)
	if status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	return tokens
}

// CheckLogin fails the test if a login of Ada with this password does not return the wanted status.
func (s *Server) CheckLogin(t *testing.T, password string, want int) {
	t.Helper()
	status, _ := s.Post(t, "/auth/login", `{"email":"`+Email+`","password":"`+password+`"}`)
	if status != want {
		t.Errorf("login with %q: %d, want %d", password, status, want)
	}
}

// Authenticate returns the status of POST /auth with an access token.
func (s *Server) Authenticate(t *testing.T, accessToken string) (status int) {
	t.Helper()
	status, _ = s.Post(t, "/auth", "", "Authorization", "Bearer "+accessToken)
	return status
}

// Post sends a JSON body, checks the response against the OpenAPI document, and returns its status
// and its members. headers are alternating names and values.
func (s *Server) Post(t *testing.T, path, body string, headers ...string) (int, map[string]string) {
	t.Helper()
	headers = append([]string{"Content-Type", "application/json"}, headers...)
	response := servertest.Do(t, s.client, http.MethodPost, "http://"+s.API+path, body, headers...)
	members := make(map[string]string)
	for name, value := range response.Body {
		members[name] = fmt.Sprint(value)
	}
	return response.Status, members
}

// Get returns the status and the body of a GET request.
func Get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response := servertest.Do(t, http.DefaultClient, http.MethodGet, url, "")
	return response.Status, response.Raw
}

// PublishedKeys returns the number of keys in the server's key set.
func (s *Server) PublishedKeys(t *testing.T) int {
	t.Helper()
	_, body := Get(t, "http://"+s.API+"/.well-known/jwks.json")
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	return len(set.Keys)
}

// Command returns a command of the program with the settings of the server, ready to run. It is
// killed after two minutes.
func (s *Server) Command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, s.Binary, args...)
	command.Dir, command.Env = s.Folder, s.Environment
	return command
}

// Run runs a command of the program with the settings of the server.
func (s *Server) Run(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	command := s.Command(t, args...)
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errOut
	var failed *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), out.String(), errOut.String()
}

// MustRun is like Run, but fails the test if the command fails or prints to standard error.
func (s *Server) MustRun(t *testing.T, stdin string, args ...string) (stdout string) {
	t.Helper()
	status, stdout, stderr := s.Run(t, stdin, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("sesame %q: status %d\n%s%s", args, status, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

// SentEmails returns the paths of the emails that the server has written to its mail folder.
func (s *Server) SentEmails(t *testing.T) []string {
	t.Helper()
	emails, err := filepath.Glob(filepath.Join(s.Folder, "sesame-data", "mail", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	return emails
}

// Shell runs a bash script in the server's folder and returns its output.
func (s *Server) Shell(t *testing.T, script string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", script)
	command.Dir = s.Folder
	content, err := command.CombinedOutput()
	return string(content), err
}

// MustShell is like Shell, but fails the test if the script fails.
func (s *Server) MustShell(t *testing.T, script string) (output string) {
	t.Helper()
	output, err := s.Shell(t, script)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return output
}
