package password

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The memory of hashes is none of the heap's, which would grow by twice as much, and goes when nothing is hashed.
func TestMemoryIsBesideTheHeap(t *testing.T) {
	var before, during runtime.MemStats
	runtime.ReadMemStats(&before)
	mapped := mappedBytes(t)
	const each, times = 8 << 20, 16
	var held []*[]block
	for range times {
		held = append(held, allocate(each/blockBytes))
	}
	for _, blocks := range held {
		for i := range *blocks {
			(*blocks)[i][0] = uint64(i)
		}
	}
	runtime.ReadMemStats(&during)
	if grown := int64(during.HeapSys) - int64(before.HeapSys); grown > each {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if grown := mappedBytes(t) - mapped; grown < times*each {
		t.Errorf("%d bytes are mapped", grown)
	}
	runtime.KeepAlive(held) // and no longer
	for deadline := time.Now().Add(10 * time.Second); mappedBytes(t)-mapped > times*each/2; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes stay mapped", mappedBytes(t)-mapped)
		}
		runtime.GC() // cleanups run beside it
	}
}

// mappedBytes is the size of the process's address space.
func mappedBytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[0])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
