package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
)

func TestMain(m *testing.M) { databasetest.Main(m) }

// binary builds the program once, without the race detector, and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "sesame-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "sesame")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, output)
	}
	return path, nil
})

// process is a running `sesame serve`.
type process struct {
	binary      string // path of the program; built by the tests if empty
	api, admin  string // host:port
	folder      string // working directory and home; the data is in sesame-data
	database    string // URL
	environment []string
	command     *exec.Cmd
	output      *bytes.Buffer
	ended       chan error
}

var secretOfTests = base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes, and more"))

// newProcess returns a server that is not started yet, with a database of its own and free ports.
func newProcess(t *testing.T, engine databasetest.Engine, environment ...string) *process {
	t.Helper()
	p := &process{api: porttest.Address(t), admin: porttest.Address(t), folder: t.TempDir()}
	p.environment = slices.Concat([]string{
		"SESAME_ADDR=" + p.api, "SESAME_ADMIN_ADDR=" + p.admin,
		"HOME=" + p.folder, "PATH=" + os.Getenv("PATH"),
	}, environment)
	p.database = "sqlite:" + filepath.Join(p.folder, "sesame-data", "sesame.db")
	if engine == databasetest.Postgres {
		p.database = databasetest.URL(t, engine)
		p.environment = append(p.environment, "SESAME_DATABASE_URL="+p.database, "SESAME_SECRET="+secretOfTests)
	}
	return p
}

// start runs `sesame serve` and waits until it is ready. The process is killed after the test.
func (p *process) start(t *testing.T) {
	t.Helper()
	path := p.binary
	if path == "" {
		var err error
		if path, err = binary(); err != nil {
			t.Fatal(err)
		}
	}
	p.command = exec.Command(path, "serve")
	p.command.Dir, p.command.Env = p.folder, p.environment
	if p.output == nil {
		p.output = &bytes.Buffer{}
	}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.command.Wait() }()
	t.Cleanup(func() { _ = p.command.Process.Kill() })
	p.untilReady(t)
}

func (p *process) untilReady(t *testing.T) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-p.ended:
			t.Fatalf("the server ended: %v\n%s", err, p.output)
		case <-deadline:
			t.Fatal("the server is not ready after 30 seconds")
		case <-tick.C:
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.admin+"/readyz", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				continue
			}
			if err := response.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
}

// end sends a signal, waits until the server ends, and returns everything that it has printed.
func (p *process) end(t *testing.T, signal syscall.Signal) (string, error) {
	t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.ended:
		return p.output.String(), err
	case <-time.After(40 * time.Second):
		t.Fatal("the server did not end within 40 seconds")
		return "", nil
	}
}

// shell runs a bash script in the server's folder and returns its output. It fails the test if the script
// fails.
func (p *process) shell(t *testing.T, script string) string {
	t.Helper()
	output, err := p.tryShell(t, script)
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return output
}

// tryShell is like shell, but returns an error if the script fails.
func (p *process) tryShell(t *testing.T, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", script)
	command.Dir = p.folder
	output, err := command.CombinedOutput()
	return string(output), err
}

// block returns what follows a mark in a document of the repository.
func block(t *testing.T, document, mark string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("../..", document))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(content), mark+"\n")
	if !found {
		t.Fatalf("%s has no %s", document, mark)
	}
	return rest
}
