package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// children returns the process ids of the server's children.
func children(t *testing.T, p *processtest.Server) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal("the server has no threads", err)
	}
	for _, task := range tasks {
		content, err := os.ReadFile(task) // a thread may have ended
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// niceness returns the niceness of each thread of a process.
func niceness(t *testing.T, pid int) (values []string) {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		t.Fatal("no threads", err)
	}
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if _, fields, _ := strings.Cut(string(stat), ") "); err == nil {
			values = append(values, strings.Fields(fields)[16])
		}
	}
	return values
}

func isGone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(fields, "Z")
}

// Passwords are hashed in child processes that take the processor only when the server does not want it, and that know
// nothing of the server's secrets.
func TestPasswordsAreHashedInChildren(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		p := processtest.New(t, engine)
		p.Start(t)
		if pids := children(t, p); len(pids) != 0 {
			t.Errorf("children before the first hash: %v", pids)
		}
		p.Login(t)
		pids := children(t, p)
		if len(pids) != 1 {
			t.Fatalf("children after hashes one at a time: %v", pids)
		}
		child := pids[0]
		for _, value := range niceness(t, child) {
			if value != "19" {
				t.Errorf("a thread of the child has niceness %s", value)
			}
		}
		for _, value := range niceness(t, p.Process.Pid) {
			if value != "0" {
				t.Errorf("a thread of the server has niceness %s", value)
			}
		}
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child))
		if err != nil || len(environment) != 0 {
			t.Errorf("the child's environment: %q, %v", environment, err)
		}
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
		if want := []byte("/proc/self/exe\x00hash-worker\x00"); err != nil || !bytes.Equal(command, want) {
			t.Errorf("the child's command: %q, %v", command, err)
		}

		// Ctrl-C and systemd signal the whole group. The server still drains, with the child's help.
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			if err := syscall.Kill(child, signal); err != nil {
				t.Fatal(err)
			}
		}
		p.CheckLogin(t, "correct horse battery", http.StatusOK)
		if again := children(t, p); len(again) != 1 || again[0] != child {
			t.Errorf("children after signals: %v, before: %d", again, child)
		}

		// A child that dies is replaced.
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		processtest.Eventually(t, "the child is gone", func() bool { return isGone(child) })
		p.CheckLogin(t, "correct horse battery", http.StatusServiceUnavailable)
		p.CheckLogin(t, "correct horse battery", http.StatusOK)

		// No child outlives a server that is killed.
		child = children(t, p)[0]
		_, _ = p.Stop(t, syscall.SIGKILL)
		processtest.Eventually(t, "the child is gone with the server", func() bool { return isGone(child) })
	})
}

// A server that stops normally leaves no child either, and one whose file was replaced can still start them.
func TestChildrenAfterAnUpdate(t *testing.T) {
	path := processtest.Binary(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := processtest.New(t, databasetest.SQLite)
	p.Binary = filepath.Join(t.TempDir(), "sesame")
	if err := os.WriteFile(p.Binary, content, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Start(t)
	if err := os.Remove(p.Binary); err != nil {
		t.Fatal(err)
	}
	p.Login(t)
	pids := children(t, p)
	if len(pids) != 1 {
		t.Fatalf("children: %v", pids)
	}
	if said, err := p.Stop(t, syscall.SIGTERM); err != nil || strings.Contains(said, "could not start a child process") {
		t.Errorf("%v\n%s", err, said)
	}
	if !isGone(pids[0]) {
		t.Error("a child outlives the server")
	}
}
