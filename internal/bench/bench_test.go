package bench

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/sesame-auth/sesame/internal/database/databasetest"
)

func BenchmarkAuthenticate(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			sessions := in.logIn(b)
			floor := posting(b, in.startFloor(b), func(i int) []byte {
				return request("/read/"+sessions[i].user+"/"+sessions[i].id, "", "")
			})
			server := posting(b, in.address, func(i int) []byte {
				return request("/auth", "Authorization: Bearer "+sessions[i].accessToken+"\r\n", "")
			})
			compare(b, floor, server).report(b, "floor-req/s")
		})
	}
}

func BenchmarkLogin(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			in.logDurability(b)
			compare(b, hashing(), posting(b, in.address, loginRequest)).report(b, "floor-hash/s")
		})
	}
}

func BenchmarkRefreshTokens(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			in.logDurability(b)
			updated := in.logIn(b)
			floor := posting(b, in.startFloor(b), func(i int) []byte { return request("/update/"+updated[i].id, "", "") })
			var server []caller
			for _, refreshed := range in.logIn(b) {
				server = append(server, refreshing(dial(b, in.address), refreshed.refreshToken))
			}
			compare(b, floor, server).report(b, "floor-req/s")
		})
	}
}

// posting returns callers that each repeat one request.
func posting(b *testing.B, address string, requestOf func(i int) []byte) []caller {
	b.Helper()
	callers := make([]caller, connections)
	for i := range callers {
		c, r := dial(b, address), requestOf(i)
		callers[i] = func() error {
			_, err := c.send(r, 200)
			return err
		}
	}
	return callers
}

// refreshing returns a caller that exchanges each refresh token for the next.
func refreshing(c *connection, token string) caller {
	return func() error {
		body, err := c.send(request("/auth/refresh-tokens", "", `{"refreshToken":"`+token+`"}`), 200)
		if err != nil {
			return err
		}
		_, rest, found := bytes.Cut(body, []byte(`"refreshToken":"`))
		next, _, terminated := bytes.Cut(rest, []byte(`"`))
		if !found || !terminated || string(next) == token {
			return errors.New("the response has no new refresh token")
		}
		token = string(next)
		return nil
	}
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
