//go:build !linux

package password

import "os/exec"

// startAtLowestPriority starts a command. Only on Linux it lowers the priority.
func startAtLowestPriority(command *exec.Cmd) error { return command.Start() }
