//go:build unix

package server

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// lockShared locks a folder until it is closed or the process ends, and reports whether another
// process has locked it. It locks nothing if the file system has no locks.
func lockShared(folder *os.File) (another bool) {
	fd := int(folder.Fd())
	another = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
	_ = syscall.Flock(fd, syscall.LOCK_SH|syscall.LOCK_NB) // best effort: it only fails while another one starts
	return another
}

// lockExclusive locks a folder until it is closed. It waits a second for others that have locked
// it. It locks nothing if the file system has no locks.
func lockExclusive(folder *os.File) error {
	for range 100 {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the folder %s is locked: a socket cannot be in the data folder of a server", folder.Name())
}

// lockAlone locks a folder until it is closed or the process ends, unless another process has locked
// it. It reports whether another one has.
func lockAlone(folder *os.File) (another bool) {
	return syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == syscall.EWOULDBLOCK
}
