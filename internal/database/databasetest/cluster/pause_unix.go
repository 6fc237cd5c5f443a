//go:build unix

package cluster

import (
	"fmt"
	"syscall"
)

// Pause stops all processes of the server (SIGSTOP), as if its machine had failed: clients stay
// connected and get no response. Resume continues them.
func (c *Cluster) Pause() error {
	server := c.server.Process.Pid
	if err := c.signal(syscall.SIGSTOP, server); err != nil { // first, so that it starts no other process
		return err
	}
	c.paused = append(c.paused, server)
	running, err := children(server)
	if err != nil {
		return fmt.Errorf("list PostgreSQL's processes: %w", err)
	}
	c.paused = append(c.paused, running...)
	return c.signal(syscall.SIGSTOP, running...)
}

// Resume continues what Pause stopped.
func (c *Cluster) Resume() error {
	paused := c.paused
	c.paused = nil
	return c.signal(syscall.SIGCONT, paused...)
}
