package bench

import "syscall"

// isInMemory reports whether a folder is in memory, and not on a disk.
func isInMemory(folder string) bool {
	const tmpfs = 0x01021994
	var info syscall.Statfs_t
	return syscall.Statfs(folder, &info) == nil && info.Type == tmpfs
}
