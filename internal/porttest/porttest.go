// Package porttest finds addresses for servers that listen on what they are told: other programs, and those that are
// started again.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// Systems give whoever connects a port above these: one of those may be taken between asking for it and listening, and
// while a server is down.
const lowest, ports = 20000, 10000

var given sync.Map // ports that Address has returned

// Address is one of the loopback interface that nobody listens on, and that it returns once only.
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
		if _, before := given.LoadOrStore(port, true); !before {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}
