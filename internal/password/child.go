package password

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// maxHashTime is how long a child may take to start, and for each hash. The most expensive hash
// within bounds takes about a second of processor time. At the lowest priority that may take
// several seconds.
const maxHashTime = 10 * time.Second

// child is a process that runs ServeWorker.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	limit   time.Duration // for one response; a child that takes longer is killed
	expiry  *time.Timer   // stops the child if it is idle for too long
}

// startChild starts a worker and waits until it is ready. The worker gets an empty environment, and
// so none of the server's secrets.
func startChild(worker []string, limit time.Duration) (*child, error) {
	command := exec.Command(worker[0], worker[1:]...) //nolint:gosec,noctx // our own binary; outlives a request
	command.Env = []string{}
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	c := &child{command: command, in: in, out: out, limit: limit}
	defer c.killLate().Stop()
	if err := readMessage(c.out, &response{}); err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not become a hash worker: %w", command, err)
	}
	return c, nil
}

// do sends a request and waits for the response.
func (c *child) do(r request) (response, error) {
	defer c.killLate().Stop()
	if err := writeMessage(c.in, r); err != nil {
		return response{}, fmt.Errorf("send to the hash worker: %w", err)
	}
	var result response
	if err := readMessage(c.out, &result); err != nil {
		return response{}, fmt.Errorf("receive from the hash worker: %w", err)
	}
	return result, nil
}

// killLate kills the child after its limit, unless the timer is stopped. That ends the wait for its
// response.
func (c *child) killLate() *time.Timer {
	return time.AfterFunc(c.limit, func() { _ = c.command.Process.Kill() })
}

// stop kills the process. It has no state to save.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.command.Process.Kill()
	_ = c.command.Wait() // closes the output; the error is that it was killed
}
