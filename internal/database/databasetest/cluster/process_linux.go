package cluster

import (
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"strconv"
	"strings"
	"syscall"
)

// A user is the user that the server runs as.
type user struct {
	name     string
	uid, gid int
}

// serverUser returns the user to run the server as, or nil for the current user. Only root needs
// another.
func serverUser() (*user, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nil means the current user
	}
	account, err := osuser.Lookup("postgres")
	if err != nil {
		account, err = osuser.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is neither a user postgres nor nobody: %w", err)
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	return &user{account.Username, uid, gid}, errors.Join(uidErr, gidErr)
}

// processAttributes returns the attributes of a child process that runs as owner and is killed when
// this process ends. The child does not get a Ctrl-C of the terminal, so the tests can stop it.
func processAttributes(owner *user) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if owner != nil {
		attributes.Credential = &syscall.Credential{Uid: uint32(owner.uid), Gid: uint32(owner.gid)}
	}
	return attributes
}

// tempDir returns the folder in which clusters create theirs. PostgreSQL copies a database by
// creating 300 files, which takes a tenth of the time or less in memory.
func tempDir() string {
	const memory, tmpfs, enough = "/dev/shm", 0x01021994, 2 << 30
	var info syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &info) != nil {
		return os.TempDir()
	}
	isMemory := int64(info.Type) == tmpfs //nolint:unconvert // an int32 on some platforms
	if isMemory && info.Bavail*uint64(info.Bsize) >= enough {
		return memory
	}
	return os.TempDir()
}

// children returns the ids of the processes that a process has started.
func children(parent int) ([]int, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent))
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, field := range strings.Fields(string(content)) {
		id, err := strconv.Atoi(field)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
