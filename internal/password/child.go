package password

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// maxHashTime is how long a child may take for one hash. The most expensive one within bounds takes about a second of
// a processor, which at the lowest priority may take several.
const maxHashTime = 10 * time.Second

// child is a process that runs ServeWorker.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     io.Reader
	expiry  *time.Timer // stops the child when it was idle for too long
}

// startChild starts a worker with the lowest priority and an empty environment: the server's secrets stay in the server.
func startChild(worker []string) (*child, error) {
	command := exec.Command(worker[0], worker[1:]...) //nolint:gosec,noctx // our own binary; it lives longer than a request
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
	if err := startAtLowestPriority(command); err != nil {
		return nil, err
	}
	return &child{command: command, in: in, out: out}, nil
}

// do sends a request and waits for the response.
func (c *child) do(r request) (response, error) {
	overdue := time.AfterFunc(maxHashTime, func() { _ = c.command.Process.Kill() })
	defer overdue.Stop()
	if err := writeMessage(c.in, r); err != nil {
		return response{}, fmt.Errorf("send to the hash worker: %w", err)
	}
	var result response
	if err := readMessage(c.out, &result); err != nil {
		return response{}, fmt.Errorf("receive from the hash worker: %w", err)
	}
	return result, nil
}

// stop ends the process. It has nothing to save.
func (c *child) stop() {
	_ = c.in.Close()
	_ = c.command.Process.Kill()
	_ = c.command.Wait() // closes the output; the status says that it was killed
}
