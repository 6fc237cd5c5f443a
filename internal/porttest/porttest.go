// Package porttest finds free ports for servers that cannot choose a port themselves: other
// programs, and servers that are restarted on the same port.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// The ports are below those that the operating system uses for outgoing connections. Otherwise a
// connection could take a port before the server listens on it, or while the server is restarted.
const lowest, ports = 20000, 10000

var returned sync.Map // the ports that Address has returned

// Address returns a free loopback address. It returns each address only once.
func Address(t testing.TB) string {
	t.Helper()
	for range ports {
		port := lowest + rand.IntN(ports)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		if _, before := returned.LoadOrStore(port, true); !before {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
