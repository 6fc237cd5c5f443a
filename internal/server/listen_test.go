package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sesame-auth/sesame/internal/porttest"
)

// leaveDead leaves the socket of a server that has died.
func leaveDead(t *testing.T, path string) {
	t.Helper()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
}

// expectListening fails the test if connections to the path do not reach the listener.
func expectListening(t *testing.T, path string, listener net.Listener) {
	t.Helper()
	accepted := make(chan error, 1)
	go func() {
		connection, err := listener.Accept()
		if err == nil {
			err = connection.Close()
		}
		accepted <- err
	}()
	connection, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

// The socket of a dead server is replaced. The group of the file decides who may connect, and the
// file is removed at the end.
func TestSocketOfADeadServer(t *testing.T) {
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	for _, dead := range []bool{false, true} {
		if dead {
			leaveDead(t, path)
		}
		listener, err := listen(t.Context(), "SESAME_ADDR", "unix:"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if address := Address(listener); address != "unix:"+path {
			t.Errorf("the address is %s", address)
		}
		expectListening(t, path, listener)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v, %v", info, err)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// A server does not start with the socket of a running one, which is not disturbed.
func TestSocketOfARunningServer(t *testing.T) {
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	running, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Close() }()
	accepted := make(chan struct{})
	go func() { // the check of the other server connects
		defer close(accepted)
		if connection, err := running.Accept(); err == nil {
			_ = connection.Close()
		}
	}()
	_, err = listen(t.Context(), "SESAME_ADDR", "unix:"+path, nil)
	if err == nil || err.Error() != "SESAME_ADDR: another server listens on "+path {
		t.Fatalf("a second server: %v", err)
	}
	<-accepted
	expectListening(t, path, running)
}

// Only sockets are replaced.
func TestOtherFilesAreKept(t *testing.T) {
	folder := porttest.SocketFolder(t)
	file, link := filepath.Join(folder, "file"), filepath.Join(folder, "link")
	dead := filepath.Join(folder, "dead")
	leaveDead(t, dead)
	if err := errors.Join(os.WriteFile(file, []byte("x"), 0o600), os.Symlink(dead, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, folder} {
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := listenUnix(t.Context(), path); err == nil || !strings.Contains(err.Error(), "is not a socket") {
			t.Errorf("%s: %v", path, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
			t.Errorf("%s was replaced: %v", path, err)
		}
	}
	if _, err := os.Lstat(dead); err != nil {
		t.Errorf("the file behind a link was removed: %v", err)
	}
}

// A server that ends does not remove the socket of another one that has replaced its own.
func TestSocketOfAnotherServerIsKept(t *testing.T) {
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	old, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // as an operator could
		t.Fatal(err)
	}
	replacement, err := listenUnix(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = replacement.Close() }()
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	expectListening(t, path, replacement)
}

// Of several servers that start at the same time, one gets the socket.
func TestServersStartAtTheSameTime(t *testing.T) {
	path := filepath.Join(porttest.SocketFolder(t), "api.sock")
	for range 20 {
		leaveDead(t, path)
		start := make(chan struct{})
		listeners := make([]net.Listener, 8)
		var servers sync.WaitGroup
		for i := range listeners {
			servers.Go(func() {
				<-start
				listeners[i], _ = listenUnix(t.Context(), path)
			})
		}
		close(start)
		servers.Wait()
		won := 0
		for _, listener := range listeners {
			if listener == nil {
				continue
			}
			won++
			connection, err := net.Dial("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			_ = connection.Close()
			if err := listener.Close(); err != nil {
				t.Error(err)
			}
		}
		if won != 1 {
			t.Fatalf("%d servers listen on one socket", won)
		}
	}
}

// The data folder is locked by a running server, so a socket in it is refused instead of waiting
// forever.
func TestSocketInALockedFolder(t *testing.T) {
	folder := porttest.SocketFolder(t)
	handle, err := os.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = handle.Close() }()
	lockShared(handle)
	_, err = listenUnix(t.Context(), filepath.Join(folder, "api.sock"))
	if err == nil || !strings.Contains(err.Error(), "the folder "+folder+" is locked") {
		t.Error(err)
	}
}
