//go:build !linux

package password

import "os/exec"

// startAtLowestPriority starts a command with the normal priority. Only Linux can lower it.
func startAtLowestPriority(command *exec.Cmd) error { return command.Start() }
