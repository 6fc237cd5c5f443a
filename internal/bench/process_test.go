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

// process is one of the binaries, running.
type process struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	exited chan struct{} // closed once it is gone, its output complete
}

// start runs a binary at most until the end of the benchmark.
func start(b *testing.B, environment []string, program string, args ...string) *process {
	b.Helper()
	p := &process{cmd: exec.Command(filepath.Join(binaries, program), args...), exited: make(chan struct{})}
	// The settings of a Sesame around us are not ours.
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool { return strings.HasPrefix(variable, "SESAME_") })
	p.cmd.Env = append(p.cmd.Env, environment...)
	p.cmd.Stderr = &p.output
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // stop looks at the exit status
		close(p.exited)
	}()
	b.Cleanup(func() { p.stop(b) })
	return p
}

// awaitReady returns as soon as /readyz at address answers 200.
func (p *process) awaitReady(b *testing.B, address string) {
	b.Helper()
	client := http.Client{Timeout: startTimeout, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case <-p.exited:
			b.Fatalf("%s ended while it started", p.cmd.Path) // stop adds what it said
		default:
		}
		response, err := client.Get("http://" + address + "/readyz")
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

// stop ends the process, which has to leave with status 0 and without a word. To stop it twice is to stop it
// once.
func (p *process) stop(b *testing.B) {
	b.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.Errorf("end %s: %v", p.cmd.Path, err)
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		b.Errorf("%s is still there after %s", p.cmd.Path, stopTimeout)
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			b.Errorf("kill %s: %v", p.cmd.Path, err)
		}
		<-p.exited
	}
	if state := p.cmd.ProcessState; !state.Success() || p.output.Len() > 0 {
		b.Errorf("%s: %s\n%s", p.cmd.Path, state, &p.output)
	}
}
