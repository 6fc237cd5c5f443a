//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/porttest"
	"github.com/sesame-auth/sesame/internal/processtest"
	"github.com/sesame-auth/sesame/internal/server/servertest"
)

// systemd does what systemd does for a server: it opens the sockets, passes them on, and gets the
// states.
type systemd struct {
	folder        string
	api, admin    *os.File // the sockets
	apiPath, host string   // where they listen
	states        *net.UnixConn
	output        *servertest.Log
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	folder := porttest.SocketFolder(t)
	s := &systemd{folder: folder, apiPath: filepath.Join(folder, "api.sock"), output: &servertest.Log{}}
	api, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.apiPath})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	admin, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	s.host = admin.Addr().String()
	if s.api, err = api.File(); err != nil {
		t.Fatal(err)
	}
	if s.admin, err = admin.File(); err != nil {
		t.Fatal(err)
	}
	s.states, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.states.Close() })
	return s
}

// start starts the server with the sockets of these names. Its LISTEN_PID is that of the shell which
// becomes the server.
func (s *systemd) start(t *testing.T, names string, settings ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" serve`, processtest.Binary(t))
	command.Dir, command.ExtraFiles = s.folder, []*os.File{s.api, s.admin}
	command.Env = append([]string{
		"LISTEN_FDS=2", "LISTEN_FDNAMES=" + names, "NOTIFY_SOCKET=" + filepath.Join(s.folder, "notify"),
		"SESAME_DRAIN_DELAY=0s", "SESAME_PUBLIC_URL=https://auth.example.com",
	}, settings...)
	command.Stdout, command.Stderr = s.output, s.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	return command
}

func (s *systemd) expectState(t *testing.T, want string) {
	t.Helper()
	if err := s.states.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 100)
	if n, err := s.states.Read(buffer); err != nil || string(buffer[:n]) != want {
		t.Fatalf("the state is %q, %v, want %s\n%s", buffer[:n], err, want, s.output)
	}
}

func (s *systemd) client() *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", s.apiPath)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

// The server uses the sockets that systemd has opened, in place of the settings. It says when it is
// ready, and when it stops. Connections that come while it restarts wait in the socket.
func TestSocketActivation(t *testing.T) {
	s := newSystemd(t)
	server := s.start(t, "api:admin", "SESAME_ADDR=192.0.2.1:1", "SESAME_ADMIN_ADDR=192.0.2.1:2")
	s.expectState(t, "READY=1")
	if status, _ := processtest.Get(t, "http://"+s.host+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz after READY=1: %d", status)
	}
	body := fmt.Sprintf(`{"name":"Ada","email":"ada@example.com","password":%q,"confirm":%q}`,
		servertest.Password, servertest.Password)
	response := servertest.Do(t, s.client(), http.MethodPost, "http://localhost/auth/register", body,
		"Content-Type", "application/json", "X-Forwarded-For", "203.0.113.9")
	if response.Status != http.StatusCreated {
		t.Errorf("register: %d %s", response.Status, response.Raw)
	}
	expectNotInherited(t, server.Process.Pid)

	stop := func(server *exec.Cmd) {
		t.Helper()
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.expectState(t, "STOPPING=1")
		if err := server.Wait(); err != nil {
			t.Errorf("%v\n%s", err, s.output)
		}
	}
	stop(server)
	if log := s.output.String(); !strings.Contains(log, `"ip":"203.0.113.9"`) || strings.Contains(log, `"level":"WARN"`) {
		t.Errorf("the log:\n%s", log)
	}
	waiting, err := net.Dial("unix", s.apiPath) // the socket is systemd's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = waiting.Close() }()
	if _, err := io.WriteString(waiting, "GET /.well-known/jwks.json HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	server = s.start(t, "api:admin")
	s.expectState(t, "READY=1")
	line, err := bufio.NewReader(waiting).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "HTTP/1.0 200 ") {
		t.Errorf("a connection that waited: %q, %v", line, err)
	}
	stop(server)
}

// expectNotInherited fails the test if a child process has a socket of its parent. It needs /proc.
func expectNotInherited(t *testing.T, parent int) {
	t.Helper()
	sockets := openSockets(parent)
	children, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil || len(children) == 0 {
		t.Log("this system has no list of child processes")
		return
	}
	found := 0
	for _, file := range children {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(content)) {
			found++
			for _, socket := range openSockets(child) {
				if slices.Contains(sockets, socket) {
					t.Errorf("the child %s inherits %s", child, socket)
				}
			}
		}
	}
	if found == 0 || len(sockets) < 2 {
		t.Errorf("%d children, sockets %q", found, sockets)
	}
}

func openSockets(process any) (sockets []string) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%v/fd/*", process))
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "socket:") {
			sockets = append(sockets, target)
		}
	}
	return sockets
}

// Sockets whose purpose is unknown are refused, and so is what else does not fit, as a setting is.
func TestInvalidSocketActivation(t *testing.T) {
	for names, want := range map[string]string{
		"api:sesame.socket": "the socket sesame.socket of systemd: set FileDescriptorName= to api or admin",
		"":                  "set FileDescriptorName= to api or admin",
		"api:api":           "systemd passes two sockets with the name api",
	} {
		s := newSystemd(t)
		err := s.start(t, names).Wait()
		if err == nil || err.Error() != "exit status 2" || !strings.Contains(s.output.String(), want) {
			t.Errorf("%q: %v\n%s", names, err, s.output)
		}
	}
	s := newSystemd(t)
	err := s.start(t, "api:admin", "SESAME_PUBLIC_URL=").Wait()
	if err == nil || !strings.Contains(s.output.String(), "SESAME_PUBLIC_URL: must be set when SESAME_ADDR") {
		t.Errorf("without a public URL: %v\n%s", err, s.output)
	}
}
