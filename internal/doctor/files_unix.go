//go:build unix

package doctor

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner returns the id of the user that a file belongs to, or -1.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

// writable reports whether this user may write a file.
func writable(path string) bool { return unix.Access(path, unix.W_OK) == nil }
