package password

import (
	"os/exec"
	"runtime"
	"syscall"
)

// lowestPriority is a niceness. A process that has it runs where no other wants the processor, and gets about 1.5 % of
// one that others want.
const lowestPriority = 19

// startAtLowestPriority starts a command whose threads have the lowest priority. On Linux a process inherits the
// priority of the thread that starts it. If the kernel refuses to lower the priority, the command runs at the normal one.
func startAtLowestPriority(command *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: a thread cannot raise its priority again, and ends with its goroutine
		if syscall.Gettid() == syscall.Getpid() {
			// The main thread never ends. While it is locked here, another thread starts the command.
			started <- startAtLowestPriority(command)
			runtime.UnlockOSThread()
			return
		}
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowestPriority)
		started <- command.Start()
	}()
	return <-started
}
