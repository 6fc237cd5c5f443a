package password

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// niceness is the calling thread's.
func niceness(t *testing.T) int {
	t.Helper()
	twenty, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()) // as the kernel has it: 20 - niceness
	if err != nil {
		t.Fatal(err)
	}
	return 20 - twenty
}

// A hash runs on a thread of the lowest priority. The caller's keeps its own, and so does every thread that is
// there afterwards: none of the low one's is left, and none was made in its image.
func TestHashingHasTheLowestPriority(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := niceness(t)
	h := NewHasher(2, time.Hour)
	for range 50 { // on whichever thread was free
		if err := h.inTurn(t.Context(), func(*memory) {
			if got := niceness(t); got != lowest {
				t.Errorf("niceness %d while hashing", got)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if after := niceness(t); after != before {
		t.Errorf("the caller's niceness was %d and is %d", before, after)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // threads end a moment after their work
		left := threadsOf(t, lowest)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there with niceness %d: %v", lowest, left)
		}
	}
}

// threadsOf is the threads of this process with a niceness.
func threadsOf(t *testing.T, niceness int) (threads []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatal("no threads", err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')'):])) // proc_pid_stat(5), from the second on
		if fields[17] == fmt.Sprint(niceness) {
			threads = append(threads, name)
		}
	}
	return threads
}

// The first thread does not end with a goroutine, and would keep the lowest priority for ever. So it does not hash,
// not even for who is on it when asking.
func TestFirstThreadDoesNotHash(t *testing.T) {
	asked := 0
	for deadline := time.Now().Add(30 * time.Second); asked < 3; {
		var onFirst, hashed bool
		var asking sync.WaitGroup
		asking.Go(func() {
			onFirst = unix.Gettid() == os.Getpid()
			atLowPriority(func() { hashed = unix.Gettid() == os.Getpid() })
		})
		asking.Wait()
		if hashed {
			t.Fatal("the first thread hashed")
		}
		if onFirst {
			asked++
		}
		if time.Now().After(deadline) {
			t.Fatalf("the first thread ran what asks %d times: it does not come back", asked)
		}
	}
}

// The work is done on the thread that asks for it, and not in a goroutine elsewhere.
func TestHashStaysOnItsThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var m memory
	stored, err := parse(Unmatched())
	if err != nil {
		t.Fatal(err)
	}
	for name, work := range map[string]func(){
		"hash":    func() { hash("correct horse", &m) },
		"matches": func() { stored.matches("correct horse", &m) },
	} {
		started, before := time.Now(), threadTime(t)
		work()
		wall, own := time.Since(started), threadTime(t)-before
		if own < 4*time.Millisecond { // much less than it takes anywhere, and much more than waiting does
			t.Errorf("of a %s that took %s, %s were spent here", name, wall, own)
		}
	}
}

// threadTime is the processor time that the calling thread has had.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var had unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &had); err != nil {
		t.Fatal(err)
	}
	return time.Duration(had.Nano())
}
