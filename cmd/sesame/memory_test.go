package main

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30
)

func TestGCLimit(t *testing.T) {
	for _, test := range []struct {
		environment []string
		memory      int64
		limit       int64 // 0: the defaults of Go stay
	}{
		{nil, gibibyte, gibibyte / 2},
		{nil, 128 * mebibyte, 64 * mebibyte},
		{nil, 128*mebibyte - 1, 0},
		{nil, 0, 0},
		{[]string{"GOGC=100"}, gibibyte, 0},
		{[]string{"PATH=/bin", "GOMEMLIMIT=1GiB"}, gibibyte, 0},
		{[]string{"GOGC=off", "GOMEMLIMIT=1GiB"}, gibibyte, 0},
		{[]string{"GOGC=", "GOMEMLIMIT=", "GOGCX=1"}, gibibyte, gibibyte / 2},
	} {
		limit, ok := gcLimit(test.environment, test.memory)
		if ok != (test.limit > 0) || ok && limit != test.limit {
			t.Errorf("%q with %d bytes: %d, %t", test.environment, test.memory, limit, ok)
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:        2097152 kB\nMemFree:         1048576 kB\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"another system": {nil, 0},
		"no cgroup":      {map[string]string{"proc/meminfo": meminfo}, 2 * gibibyte},
		"version 2, no limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n",
		}, 2 * gibibyte},
		"version 2, a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 * mebibyte},
		"version 2, a service in a slice": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/sesame.service\n",
			"sys/fs/cgroup/system.slice/sesame.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                "536870912\n",
		}, 512 * mebibyte},
		"version 2, more than the machine has": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "8589934592\n",
		}, 2 * gibibyte},
		"version 2, outside of the namespace": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 * mebibyte},
		"version 1, a service": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/sesame\n1:name=systemd:/\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":        "9223372036854771712\n",
			"sys/fs/cgroup/memory/sesame/memory.limit_in_bytes": "134217728\n",
		}, 128 * mebibyte},
		"version 1, a container": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:hugetlb,memory:/docker/0123456789\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
		}, 256 * mebibyte},
		"nothing that can be parsed": {map[string]string{
			"proc/meminfo": "MemTotal", "proc/self/cgroup": "x\n:\n::", "sys/fs/cgroup/memory.max": "x",
		}, 0},
		"a cgroup that cannot be parsed": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "x\n:\n::", "sys/fs/cgroup/memory.max": "x",
		}, 2 * gibibyte},
	} {
		root := make(fstest.MapFS)
		for path, content := range test.files {
			root[path] = &fstest.MapFile{Data: []byte(content)}
		}
		if got := availableMemory(root); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// The server sets GOGC and a memory limit, unless the environment sets one of them.
func TestServerTunesGC(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of the machine is known on Linux only")
	}
	for _, test := range []struct {
		settings  []string
		percent   float64
		isLimited bool
	}{
		{nil, 400, true},
		{[]string{"GOGC=50"}, 50, false},
		{[]string{"GOMEMLIMIT=4GiB"}, 100, true},
	} {
		server := processtest.New(t, databasetest.SQLite, test.settings...)
		server.Start(t)
		_, metrics := processtest.Get(t, "http://"+server.Admin+"/metrics")
		percent, limit := valueOf(t, metrics, "go_gc_gogc_percent"), valueOf(t, metrics, "go_memlimit_bytes")
		if percent != test.percent || (limit < math.MaxInt64) != test.isLimited {
			t.Errorf("%q: GOGC is %g, the memory limit %g", test.settings, percent, limit)
		}
	}
}

// valueOf returns the value of a metric without labels.
func valueOf(t *testing.T, metrics, name string) (value float64) {
	t.Helper()
	_, text, found := strings.Cut(metrics, "\n"+name+" ")
	if _, err := fmt.Sscan(text, &value); err != nil || !found {
		t.Fatalf("no %s in\n%s", name, metrics)
	}
	return value
}
