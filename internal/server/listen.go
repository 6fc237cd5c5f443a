package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// socketMode is the mode of a Unix socket: who may connect is decided by membership in the group.
const socketMode = 0o660

// unixPrefix is how the address of a Unix socket begins.
const unixPrefix = "unix:"

// SocketPath returns the path of the Unix socket in an address such as unix:/run/sesame/api.sock,
// and whether it is one. Other addresses are host:port.
func SocketPath(address string) (path string, isUnix bool) {
	return strings.CutPrefix(address, unixPrefix)
}

// Address returns the address of a listener, as SESAME_ADDR contains it.
func Address(listener net.Listener) string {
	if address, ok := listener.Addr().(*net.UnixAddr); ok {
		return unixPrefix + address.Name
	}
	return listener.Addr().String()
}

// AdminClient returns a client for the admin listener at an address, and the URL where the client
// reaches it.
func AdminClient(address string) (client *http.Client, url string) {
	path, isUnix := SocketPath(address)
	if !isUnix {
		return http.DefaultClient, "http://" + address
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", path)
		},
	}}, "http://localhost"
}

// IsLocal reports whether only programs on this machine can connect to an address.
func IsLocal(address string) bool {
	_, isUnix := SocketPath(address)
	host, _, err := net.SplitHostPort(address)
	return isUnix || err == nil && IsLoopback(host)
}

// IsLoopback reports whether host is this machine: localhost or a loopback IP address.
func IsLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// IsLocalURL reports whether the host of a URL is this machine.
func IsLocalURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && IsLoopback(parsed.Hostname())
}

// listen opens a listener for the address of a setting, unless it is already opened.
func listen(ctx context.Context, setting, address string, opened net.Listener) (listener net.Listener, err error) {
	if opened != nil {
		return opened, nil
	}
	if path, isUnix := SocketPath(address); isUnix {
		listener, err = listenUnix(ctx, path)
	} else {
		var config net.ListenConfig
		listener, err = config.Listen(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return listener, nil
}

// listenUnix listens on a Unix socket. It replaces the socket that a dead server has left, and
// nothing else. The lock keeps two servers that start at the same time from replacing each other's.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // it was only read
	if err := awaitLock(folder); err != nil {
		return nil, err
	}
	if err := removeDead(ctx, path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	opened, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	listener, ok := opened.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s: unexpected listener %T", path, opened), opened.Close())
	}
	listener.SetUnlinkOnClose(false) // see unixListener.Close
	file, err := os.Lstat(path)
	if err == nil {
		err = os.Chmod(path, socketMode)
	}
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return &unixListener{listener, path, file}, nil
}

// awaitLock locks a folder until it is closed. It waits a second for others that have locked it.
func awaitLock(folder *os.File) error {
	for range 100 {
		if !lockAlone(folder) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the folder %s is locked: a socket cannot be in the data folder of a server", folder.Name())
}

// removeDead removes a Unix socket that no server accepts connections on. It returns an error if
// there is such a server, or if the file is not a socket.
func removeDead(ctx context.Context, path string) error {
	file, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if file.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = connection.Close() // nothing was sent
		return fmt.Errorf("another server listens on %s", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("another server may listen on %s: %w", path, err)
}

// unixListener removes its socket when it is closed.
type unixListener struct {
	*net.UnixListener

	path string
	file os.FileInfo // of the socket
}

// Close removes the socket, unless another one has its name now.
func (l *unixListener) Close() error {
	if file, err := os.Lstat(l.path); err == nil && os.SameFile(file, l.file) {
		_ = os.Remove(l.path) // best effort: the next start removes it
	}
	return l.UnixListener.Close()
}
