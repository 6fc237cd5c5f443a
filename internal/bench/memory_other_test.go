//go:build !linux

package bench

// isInMemory returns false: it is not implemented here.
func isInMemory(string) bool { return false }
