// Package porttest finds free ports for servers that cannot choose a port themselves: other
// programs, and servers that are restarted on the same port. It also makes room for Unix sockets.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// The ports are below those that the operating system uses for outgoing connections. Otherwise a
// connection could take a port before the server listens on it, or while the server is restarted.
const lowest, ports = 20000, 10000

// Address returns a free loopback address. No other call returns it before the test has ended, in
// this process or another one: until then, the UDP port of the same number is taken as a lock.
func Address(t testing.TB) string {
	t.Helper()
	for range ports {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(ports))
		lock, err := net.ListenPacket("udp", address)
		if err != nil {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			_ = lock.Close() // another program uses the TCP port
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = lock.Close() }) // a port that stays locked is not used again
		return address
	}
	t.Fatal("no port is free")
	return ""
}

// SocketFolder returns an empty folder for Unix sockets, until the test ends. The path of a socket
// must be short, and t.TempDir contains the name of the test.
func SocketFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "sesame") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) }) // best effort
	return folder
}
