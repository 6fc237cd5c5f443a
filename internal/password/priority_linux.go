package password

import (
	"os/exec"
	"runtime"
	"syscall"
)

// lowestPriority is a niceness. A process with it gets all of an idle processor, and about 1.5 % of
// one that other processes use.
const lowestPriority = 19

// startAtLowestPriority starts a command whose threads have the lowest priority. On Linux a process
// inherits the priority of the thread that starts it. If the kernel refuses to lower the priority,
// the command runs with the normal one.
func startAtLowestPriority(command *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		// Never unlocked, so the thread ends with the goroutine: it could not raise its priority again.
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			// The main thread cannot end. Start the command from another one, while this one is locked.
			started <- startAtLowestPriority(command)
			runtime.UnlockOSThread()
			return
		}
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowestPriority)
		started <- command.Start()
	}()
	return <-started
}
