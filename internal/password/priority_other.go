//go:build !unix

package password

// lowerPriority does nothing: only Unix has a niceness.
func lowerPriority() {}
