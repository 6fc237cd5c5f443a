// Package processtest runs the built program, for tests of what a test inside the process cannot
// show: signals, restarts, and clients that are programs themselves.
//
// A package with such tests calls Main from its TestMain:
//
//	func TestMain(m *testing.M) { processtest.Main(m) }
package processtest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// Secret is the SESAME_SECRET of the servers that do not create one.
var Secret = base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes, and more"))

const module = "github.com/sesame-auth/sesame"

// buildFolder contains the program, once it is built. Main removes it.
var buildFolder = filepath.Join(os.TempDir(), fmt.Sprintf("sesame-processtest-%d", os.Getpid()))

// Main runs the tests like databasetest.Main, and then removes the program.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is like Main, but returns the exit status, for a TestMain that cleans up after the tests.
func Run(m *testing.M) (status int) {
	status = databasetest.Run(m)
	_ = os.RemoveAll(buildFolder) // best effort
	return status
}

// build builds the program without the race detector, as it is released.
var build = sync.OnceValues(func() (string, error) { return buildTo("sesame") })

func buildTo(name string, flags ...string) (binary string, err error) {
	binary = filepath.Join(buildFolder, name)
	arguments := slices.Concat([]string{"build", "-o", binary}, flags, []string{module + "/cmd/sesame"})
	command := exec.Command("go", arguments...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sesame: %w\n%s", err, output)
	}
	return binary, nil
}

// Binary builds the program with the first call and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// A Server is an installation of Sesame: its settings, its data and, after Start, the running
// process.
type Server struct {
	Binary      string
	API, Admin  string // host:port
	Folder      string // working directory and home; the data is in sesame-data
	DatabaseURL string
	Environment []string // of the server and of every other command
	Process     *os.Process

	client *http.Client // checks every response
	output *servertest.Log
	ended  chan error
}

// New returns a server that is not started yet, with a database of its own and free ports. The
// settings, such as "SESAME_THROTTLE=off", add to or replace those that New chooses.
func New(t *testing.T, engine databasetest.Engine, settings ...string) *Server {
	t.Helper()
	s := &Server{
		Binary: Binary(t),
		API:    porttest.Address(t),
		Admin:  porttest.Address(t),
		Folder: t.TempDir(),
		client: &http.Client{Transport: servertest.Document().Transport(t, string(engine))},
		output: &servertest.Log{},
	}
	s.DatabaseURL = "sqlite:" + filepath.Join(s.Folder, "sesame-data", "sesame.db")
	s.Environment = []string{
		"SESAME_ADDR=" + s.API, "SESAME_ADMIN_ADDR=" + s.Admin, "SESAME_DRAIN_DELAY=0s",
		"HOME=" + s.Folder, "PATH=" + os.Getenv("PATH"),
	}
	if engine == databasetest.Postgres {
		s.DatabaseURL = databasetest.URL(t, engine)
		s.Environment = append(s.Environment, "SESAME_DATABASE_URL="+s.DatabaseURL, "SESAME_SECRET="+Secret)
	}
	s.Environment = append(s.Environment, settings...)
	return s
}

// Another returns a second server with the same folder and database, which is not started yet.
func (s *Server) Another(t *testing.T) *Server {
	t.Helper()
	another := *s
	another.API, another.Admin, another.output = porttest.Address(t), porttest.Address(t), &servertest.Log{}
	another.Environment = append(slices.Clone(s.Environment),
		"SESAME_ADDR="+another.API, "SESAME_ADMIN_ADDR="+another.Admin, "SESAME_PUBLIC_URL=http://"+s.API)
	return &another
}

// Start runs `sesame serve` and waits until it is ready. The process is killed after the test.
func (s *Server) Start(t *testing.T) {
	t.Helper()
	s.Launch(t)
	s.waitUntilReady(t)
}

// Launch is like Start, but does not wait.
func (s *Server) Launch(t *testing.T) {
	t.Helper()
	command := exec.Command(s.Binary, "serve")
	command.Dir, command.Env = s.Folder, s.Environment
	command.Stdout, command.Stderr = s.output, s.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.Process, s.ended = command.Process, make(chan error, 1)
	go func() { s.ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
}

func (s *Server) waitUntilReady(t *testing.T) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-s.ended:
			t.Fatalf("the server ended: %v\n%s", err, s.output)
		case <-deadline:
			t.Fatal("the server is not ready after 30 seconds")
		case <-tick.C:
			if s.IsReady(t.Context()) {
				return
			}
		}
	}
}

// Output returns everything that the server has printed.
func (s *Server) Output() string { return s.output.String() }

// IsReady reports whether the server is ready.
func (s *Server) IsReady(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Admin+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Stop sends a signal to the server, waits until it ends and returns everything that it has
// printed.
func (s *Server) Stop(t *testing.T, signal syscall.Signal) (output string, err error) {
	t.Helper()
	if err := s.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	return s.Wait(t)
}

// Wait is like Stop, but sends no signal.
func (s *Server) Wait(t *testing.T) (output string, err error) {
	t.Helper()
	select {
	case err := <-s.ended:
		return s.output.String(), err
	case <-time.After(40 * time.Second):
		t.Fatal("the server did not end within 40 seconds")
		return "", nil
	}
}

// Eventually waits until a condition is met, at most 20 seconds.
func Eventually(t *testing.T, condition string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 seconds: %s", condition)
		}
	}
}
