package password

import (
	"runtime"
	"syscall"
	"unsafe"
)

// allocate is memory beside Go's heap, which lives as long as what points to it is reachable. In the heap, which is
// collected when it has doubled, it would let as much garbage lie about as it takes itself.
func allocate(n int) *[]block {
	mapped, err := syscall.Mmap(-1, 0, n*blockBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		blocks := make([]block, n)
		return &blocks
	}
	blocks := unsafe.Slice((*block)(unsafe.Pointer(unsafe.SliceData(mapped))), n) //nolint:gosec // n blocks are mapped, at the beginning of a page
	held := &blocks
	runtime.AddCleanup(held, func(mapped []byte) { _ = syscall.Munmap(mapped) }, mapped) // nothing it could fail at
	return held
}
