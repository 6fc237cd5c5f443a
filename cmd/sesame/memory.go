package main

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

const (
	// gcPercent is GOGC of the server. Go's default, 100, makes the garbage collector run very often,
	// because the server has little in memory.
	gcPercent = 400
	// minMemory is how much memory there must be for gcPercent.
	minMemory = 128 << 20
)

// tuneGC configures the garbage collector of the server, unless the environment does.
func tuneGC(environment []string) {
	if limit, ok := gcLimit(environment, availableMemory(os.DirFS("/"))); ok {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(limit)
	}
}

// gcLimit returns the memory limit of the runtime that belongs to gcPercent: half of the memory. The
// rest is for the child processes that hash passwords, and for what Go does not manage. A server
// that comes close to the limit collects more often, and so does not need more than with GOGC=100.
//
// It returns false if the defaults of Go must stay: the environment sets one of the two, or there is
// little memory.
func gcLimit(environment []string, memory int64) (limit int64, ok bool) {
	isSet := slices.ContainsFunc(environment, func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		return (name == "GOGC" || name == "GOMEMLIMIT") && value != ""
	})
	return memory / 2, !isSet && memory >= minMemory
}

// availableMemory returns the memory of the machine or, if it is less, the limit of the cgroup of
// this process, such as a container. It returns 0 if it is unknown, as on other systems than Linux.
// root is the root of the file system.
func availableMemory(root fs.FS) int64 {
	meminfo, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	var kibibytes int64
	if _, err := fmt.Sscanf(string(meminfo), "MemTotal: %d kB", &kibibytes); err != nil {
		return 0
	}
	available := kibibytes << 10
	cgroups, _ := fs.ReadFile(root, "proc/self/cgroup") // without it, there is no limit
	for line := range strings.Lines(string(cgroups)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), ":") // the number of the hierarchy
		switch controllers, cgroup, _ := strings.Cut(line, ":"); {
		case controllers == "": // version 2
			available = min(available, cgroupLimit(root, "sys/fs/cgroup", cgroup, "memory.max"))
		case slices.Contains(strings.Split(controllers, ","), "memory"): // version 1
			available = min(available, cgroupLimit(root, "sys/fs/cgroup/memory", cgroup, "memory.limit_in_bytes"))
		}
	}
	return available
}

// cgroupLimit returns the lowest limit of a cgroup and those it is in. In a container, the cgroup
// may be named by its path outside, and only the file at the mount point exists.
func cgroupLimit(root fs.FS, mount, cgroup, file string) int64 {
	lowest := int64(math.MaxInt64)
	for folder := path.Join("/", cgroup); ; folder = path.Dir(folder) {
		text, err := fs.ReadFile(root, path.Join(mount, folder, file))
		if err == nil {
			if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // not "max"
				lowest = min(lowest, limit)
			}
		}
		if folder == "/" {
			return lowest
		}
	}
}
