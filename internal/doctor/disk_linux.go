package doctor

import "golang.org/x/sys/unix"

// networkFileSystems maps the types of statfs to names.
var networkFileSystems = map[int64]string{
	unix.NFS_SUPER_MAGIC: "nfs", unix.SMB_SUPER_MAGIC: "smb", unix.SMB2_SUPER_MAGIC: "smb",
	unix.CIFS_SUPER_MAGIC: "cifs", unix.V9FS_MAGIC: "9p", unix.AFS_SUPER_MAGIC: "afs", unix.CEPH_SUPER_MAGIC: "ceph",
	unix.CODA_SUPER_MAGIC: "coda", unix.OCFS2_SUPER_MAGIC: "ocfs2",
	0x01161970: "gfs2", 0x0BD00BD0: "lustre",
}

// fileSystem returns the name of the network file system of a path, or an empty string if it is on
// another one.
func fileSystem(path string) string {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return ""
	}
	return networkFileSystems[int64(uint32(stat.Type))] //nolint:gosec // a magic number of 32 bits
}

// diskSpace returns how many bytes are free for this user, and how many there are.
func diskSpace(path string) (free, total uint64, known bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, 0, false
	}
	block := uint64(stat.Bsize) //nolint:gosec // positive
	return stat.Bavail * block, stat.Blocks * block, true
}
