package database

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The operating system gives up a connection whose data is not acknowledged.
func TestUserTimeout(t *testing.T) {
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dialer := net.Dialer{Control: setUserTimeout}
	conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T", conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var timeout int
	var optionErr error
	err = raw.Control(func(fd uintptr) {
		timeout, optionErr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	})
	if err != nil || optionErr != nil || time.Duration(timeout)*time.Millisecond != userTimeout {
		t.Errorf("TCP_USER_TIMEOUT is %d ms, %v, %v", timeout, err, optionErr)
	}
}
