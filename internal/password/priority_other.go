//go:build !linux

package password

// atLowPriority calls do. Only on Linux has a thread a priority of its own.
func atLowPriority(do func()) { do() }
