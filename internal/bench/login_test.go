package bench

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func BenchmarkLogin(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			b.Run("known-network", func(b *testing.B) {
				in := install(b, engine, "SESAME_THROTTLE=on")
				in.logIn(b) // from the network that the logins come from
				compareToHashing(b, in, 200, loginRequest)
			})
			b.Run("new-networks", func(b *testing.B) {
				in := install(b, engine, "SESAME_THROTTLE=on", behindProxy)
				in.logDurability(b)
				compareToHashing(b, in, 200, func(i int) []byte { return loginFrom(emailOf(i), newNetwork()) })
			})
			b.Run("without-limits", func(b *testing.B) {
				in := install(b, engine)
				compareToHashing(b, in, 200, loginRequest)
			})
		})
	}
}

func BenchmarkRegister(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine, "SESAME_THROTTLE=on", behindProxy,
				"SESAME_EMAIL_VERIFICATION=off")
			in.logDurability(b)
			registered := make([]int, connections)
			compareToHashing(b, in, 201, func(i int) []byte {
				registered[i]++
				return registerRequest(fmt.Sprintf("new-%d-%d@example.com", i, registered[i]), newNetwork())
			})
		})
	}
}

// compareToHashing compares requests, of which each caller i gets a new one for every call, to raw
// hashing.
func compareToHashing(b *testing.B, in *installation, status int, requestOf func(i int) []byte) {
	b.Helper()
	server := make([]caller, connections)
	for i := range server {
		c := dial(b, in.address)
		server[i] = func() error { return c.sendHashed(requestOf(i), status) }
	}
	compare(b, hashing(), server).report(b, "floor-hash/s")
}

// hashing returns callers that hash a password with golang.org/x/crypto/argon2, one for each
// processor.
func hashing() []caller {
	callers := make([]caller, runtime.GOMAXPROCS(0))
	for i := range callers {
		callers[i] = func() error {
			argon2.IDKey([]byte(userPassword), []byte("sixteen bytes of"), 2, 19456, 1, 32)
			return nil
		}
	}
	return callers
}
