package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
	"github.com/sesame-auth/sesame/internal/processtest"
)

// children returns the process ids of the server's children.
func children(t *testing.T, server *processtest.Server) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", server.Process.Pid))
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

// autogroup returns the name and the niceness of the session of a process (sched(7), autogroup). It
// returns an empty string if the kernel has no autogroups, or if the session has none, like the one
// of the system's first process.
func autogroup(t *testing.T, pid int) string {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/autogroup", pid))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

func isGone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, fields, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(fields, "Z")
}

// Passwords are hashed in child processes that have a lower priority than the server and none of
// its secrets.
func TestPasswordsAreHashedInChildren(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, engine databasetest.Engine) {
		server := processtest.New(t, engine)
		server.Start(t)
		if pids := children(t, server); len(pids) != 0 {
			t.Errorf("children before the first hash: %v", pids)
		}
		session := autogroup(t, server.Process.Pid)
		server.Login(t)
		pids := children(t, server)
		if len(pids) != 1 {
			t.Fatalf("children after one hash at a time: %v", pids)
		}
		child := pids[0]
		for _, value := range niceness(t, child) {
			if value != "19" {
				t.Errorf("a thread of the child has niceness %s", value)
			}
		}
		for _, value := range niceness(t, server.Process.Pid) {
			if value != "0" {
				t.Errorf("a thread of the server has niceness %s", value)
			}
		}
		if _, err := os.Stat("/proc/self/autogroup"); err == nil { // depends on the kernel
			processtest.Eventually(t, "the child's session has the lowest priority", func() bool {
				return strings.HasSuffix(autogroup(t, child), " nice 19")
			})
			if now := autogroup(t, server.Process.Pid); now != session {
				t.Errorf("the server's session: %q, before: %q", now, session)
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

		// Ctrl-C and systemd signal the whole process group. The child ignores it, because the server
		// needs it for the requests in flight.
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			if err := syscall.Kill(child, signal); err != nil {
				t.Fatal(err)
			}
		}
		server.CheckLogin(t, "correct horse battery", http.StatusOK)
		if again := children(t, server); len(again) != 1 || again[0] != child {
			t.Errorf("children after signals: %v, before: %d", again, child)
		}

		// A child that dies is replaced. The request that needed it fails.
		if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		processtest.Eventually(t, "the child is gone", func() bool { return isGone(child) })
		server.CheckLogin(t, "correct horse battery", http.StatusServiceUnavailable)
		server.CheckLogin(t, "correct horse battery", http.StatusOK)

		// A killed server leaves no child.
		child = children(t, server)[0]
		_, _ = server.Stop(t, syscall.SIGKILL)
		processtest.Eventually(t, "the child is gone with the server", func() bool { return isGone(child) })
	})
}

// A server whose program file was deleted can still start children. A server that stops leaves no
// child.
func TestChildrenAfterAnUpdate(t *testing.T) {
	path := processtest.Binary(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	server := processtest.New(t, databasetest.SQLite)
	server.Binary = filepath.Join(t.TempDir(), "sesame")
	if err := os.WriteFile(server.Binary, content, 0o700); err != nil {
		t.Fatal(err)
	}
	server.Start(t)
	if err := os.Remove(server.Binary); err != nil {
		t.Fatal(err)
	}
	server.Login(t)
	pids := children(t, server)
	if len(pids) != 1 {
		t.Fatalf("children: %v", pids)
	}
	output, err := server.Stop(t, syscall.SIGTERM)
	if err != nil || strings.Contains(output, "could not start a child process") {
		t.Errorf("%v\n%s", err, output)
	}
	if !isGone(pids[0]) {
		t.Error("a child is left")
	}
}

// A worker that somebody starts in a shell does not lower the priority of the shell's session.
func TestHashWorkerInAShell(t *testing.T) {
	command := exec.CommandContext(t.Context(), processtest.Binary(t), hashWorkerName)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // like a shell, it leads a session already
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 4)); err != nil { // it is ready
		t.Fatal(err)
	}
	for _, value := range niceness(t, command.Process.Pid) {
		if value != "0" {
			t.Errorf("a thread of the worker has niceness %s", value)
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
}
