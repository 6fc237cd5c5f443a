package deploy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const root = "../../.."

// program is the path of Sesame, built like in the image.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "sesame-deploy-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }() // best effort
	if program, err = build(folder); err != nil {
		panic(err)
	}
	return m.Run()
}

// build runs the command of the Dockerfile in a folder that contains the context of `docker build`
// and nothing else.
func build(folder string) (string, error) {
	source, target := filepath.Join(folder, "context"), filepath.Join(folder, "sesame")
	if err := copyContext(source); err != nil {
		return "", err
	}
	command, err := buildCommand()
	if err != nil {
		return "", err
	}
	shell := exec.Command("sh", "-c", strings.ReplaceAll(command, "-o /sesame", "-o "+target))
	shell.Dir = source
	if output, err := shell.CombinedOutput(); err != nil {
		return "", errors.New("build the program from the context of docker build: " + string(output))
	}
	return target, nil
}

// copyContext copies the files that .dockerignore does not exclude.
func copyContext(target string) error {
	ignore, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	patterns, err := ignorefile.ReadAll(ignore)
	if err = errors.Join(err, ignore.Close()); err != nil {
		return err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path) // both are relative to the same folder
		if err != nil || name == "." {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case ignored && entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return fs.SkipDir // no pattern includes files in it
		case ignored || entry.IsDir():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		copied := filepath.Join(target, name)
		return errors.Join(os.MkdirAll(filepath.Dir(copied), 0o700), os.WriteFile(copied, content, 0o600))
	})
}

// sesame runs the program with only these environment variables and returns its output.
func sesame(t *testing.T, environment []string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env = t.TempDir(), environment
	output, err := command.CombinedOutput()
	return string(output), err
}

// checkConfig checks that the server accepts the environment.
func checkConfig(t *testing.T, environment []string) {
	t.Helper()
	if output, err := sesame(t, environment, "config", "--check"); err != nil {
		t.Errorf("sesame config --check: %v\n%s\nenvironment: %q", err, output, environment)
	}
}

// settings returns the names of all settings.
func settings(t *testing.T) (names []string) {
	t.Helper()
	output, err := sesame(t, nil, "config")
	if err != nil {
		t.Fatal(err, output)
	}
	for line := range strings.Lines(output) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	if !slices.Contains(names, "SESAME_DATABASE_URL") {
		t.Fatalf("cannot read the output of sesame config:\n%s", output)
	}
	return names
}

// A server is a running process of the program.
type server struct {
	api, admin string // URLs
	process    *exec.Cmd
	ended      chan struct{} // closed when the process has ended
	output     bytes.Buffer  // complete when it has
}

// start runs a command that starts a server with these addresses, and waits until it is ready.
func start(t *testing.T, command *exec.Cmd, api, admin string) *server {
	t.Helper()
	s := &server{api: "http://" + api, admin: "http://" + admin, process: command, ended: make(chan struct{})}
	command.Stdout, command.Stderr = &s.output, &s.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // the tests read the output
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM) // fails if it has ended
		select {
		case <-s.ended:
		case <-time.After(20 * time.Second):
			_ = command.Process.Kill() // best effort
			<-s.ended
		}
		if t.Failed() {
			t.Logf("output of the server:\n%s", &s.output)
		}
	})
	for {
		if status, _, err := s.get(t, s.admin+"/readyz"); err == nil && status == http.StatusOK {
			return s
		}
		select {
		case <-s.ended:
			t.Fatal("the server ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	return s.do(t, http.MethodGet, url, "")
}

func (s *server) post(t *testing.T, path, body string, want int) string {
	t.Helper()
	status, response, err := s.do(t, http.MethodPost, s.api+path, body)
	if err != nil || status != want {
		t.Fatalf("POST %s: %d %v, want %d: %s", path, status, err, want, response)
	}
	return response
}

func (s *server) do(t *testing.T, method, url, body string) (status int, response string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content), errors.Join(err, answer.Body.Close())
}

// address returns a loopback address with a free port.
func address(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // nothing was accepted
	return listener.Addr().String()
}

// local starts a server with SQLite in a temporary folder.
func local(t *testing.T) *server {
	t.Helper()
	api, admin := address(t), address(t)
	command := exec.Command(program, "serve")
	command.Env = []string{
		"SESAME_ADDR=" + api, "SESAME_ADMIN_ADDR=" + admin, "SESAME_DATA_DIR=" + t.TempDir() + "/data",
		"SESAME_DRAIN_DELAY=0s",
	}
	return start(t, command, api, admin)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
