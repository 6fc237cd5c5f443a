package bench

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// process is a running binary.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	exited chan struct{} // closed when it has ended and output is complete
	killed bool
	mayLog bool // its output and exit status do not matter
}

// start runs a binary, until the end of the benchmark or a call of stop. It is one of ours, unless
// its path is absolute.
func start(b *testing.B, environment []string, program string, args ...string) *process {
	b.Helper()
	p := &process{exited: make(chan struct{}), mayLog: filepath.IsAbs(program)}
	if !filepath.IsAbs(program) {
		program = filepath.Join(binaries, program)
	}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = withSettings(environment)
	p.cmd.Stderr = &p.output
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // stop checks the exit status
		close(p.exited)
	}()
	b.Cleanup(func() { p.stop(b) })
	return p
}

// withSettings returns the environment of the benchmark with these settings of Sesame and no others.
func withSettings(settings []string) []string {
	isSetting := func(variable string) bool { return strings.HasPrefix(variable, "SESAME_") }
	return append(slices.DeleteFunc(os.Environ(), isSetting), settings...)
}

// awaitReady returns as soon as /readyz at address returns 200.
func (p *process) awaitReady(b *testing.B, address string) {
	b.Helper()
	p.awaitOK(b, "http://"+address+"/readyz")
}

// awaitOK returns as soon as GET of a URL returns 200.
func (p *process) awaitOK(b *testing.B, url string) {
	b.Helper()
	client := http.Client{Timeout: startTimeout, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case <-p.exited:
			b.Fatalf("%s ended while it started", p.cmd.Path) // stop prints its output
		default:
		}
		response, err := client.Get(url)
		if err != nil {
			continue
		}
		if err := response.Body.Close(); err != nil {
			b.Fatal(err)
		}
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	b.Fatalf("%s is not ready after %s", p.cmd.Path, startTimeout)
}

// kill ends the process as kill -9 does.
func (p *process) kill(b *testing.B) {
	b.Helper()
	p.killed = true
	if err := p.cmd.Process.Kill(); err != nil {
		b.Fatal(err)
	}
	<-p.exited
}

// stop ends the process. It reports an error unless the process exits with status 0 and without
// output. A second call does nothing more.
func (p *process) stop(b *testing.B) {
	b.Helper()
	if p.killed {
		return
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.Errorf("end %s: %v", p.cmd.Path, err)
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		b.Errorf("%s still runs after %s", p.cmd.Path, stopTimeout)
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			b.Errorf("kill %s: %v", p.cmd.Path, err)
		}
		<-p.exited
	}
	if state := p.cmd.ProcessState; !p.mayLog && (!state.Success() || p.output.Len() > 0) {
		b.Errorf("%s: %s\n%s", p.cmd.Path, state, &p.output)
	}
}
