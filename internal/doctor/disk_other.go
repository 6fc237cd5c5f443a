//go:build !linux

package doctor

// fileSystem returns an empty string: the file system is not known here.
func fileSystem(string) string { return "" }

// diskSpace returns false: the free space is not known here.
func diskSpace(string) (free, total uint64, known bool) { return 0, 0, false }
