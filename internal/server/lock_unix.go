//go:build unix

package server

import (
	"os"
	"syscall"
)

// lockShared locks a folder until it is closed or the process ends, and reports whether another
// process has locked it. It locks nothing if the file system has no locks.
func lockShared(folder *os.File) (another bool) {
	fd := int(folder.Fd())
	another = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
	_ = syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB) // best effort: it only fails while another one starts
	return another
}

// lockAlone locks a folder until it is closed or the process ends, unless another process has locked
// it. It reports whether another one has. It locks nothing if the file system has no locks.
func lockAlone(folder *os.File) (another bool) {
	return syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
