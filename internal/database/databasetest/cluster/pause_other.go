//go:build !unix

package cluster

import "errors"

// Pause returns an error: only Unix can stop a process.
func (c *Cluster) Pause() error { return errors.New("this system cannot stop a process") }

// Resume does nothing.
func (c *Cluster) Resume() error { return nil }
