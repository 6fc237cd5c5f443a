package password

import (
	"runtime"
	"syscall"
)

// lowest is the niceness of hashing: a thread of it runs where no other wants the processor, and gets a seventieth
// of one that others want.
const lowest = 19

// atLowPriority calls do on a thread of the lowest priority and returns when it does. Where the kernel refuses to
// lower it, do competes with everything else.
func atLowPriority(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: a thread cannot raise its priority again, and ends with its goroutine
		if syscall.Gettid() == syscall.Getpid() {
			// The first thread of a process never ends. While it is held here, do gets another.
			atLowPriority(do)
			runtime.UnlockOSThread()
			return
		}
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, syscall.Gettid(), lowest)
		do()
	}()
	<-done
}
