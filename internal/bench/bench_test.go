package bench

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

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

func BenchmarkRefreshTokens(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			in.logDurability(b)
			updated := in.logIn(b)
			floor := posting(b, in.startFloor(b), func(i int) []byte { return request("/update/"+updated[i].id, "", "") })
			var server []caller
			for _, refreshed := range in.logIn(b) {
				server = append(server, refreshing(dial(b, in.address), refreshed.refreshToken, ""))
			}
			compare(b, floor, server).report(b, "floor-req/s")
		})
	}
}

func BenchmarkLogout(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			in.logDurability(b)
			updated := in.logIn(b)
			floor := posting(b, in.startFloor(b), func(i int) []byte { return request("/update/"+updated[i].id, "", "") })
			tokens := in.tokens(b)
			var server []caller
			for _, own := range in.sessionsToLogOut(b) {
				server = append(server, loggingOut(dial(b, in.address), tokens, own, ""))
			}
			compare(b, floor, server).report(b, "floor-req/s")
		})
	}
}

func BenchmarkJWKS(b *testing.B) {
	for _, engine := range databasetest.Engines {
		b.Run(string(engine), func(b *testing.B) {
			in := install(b, engine)
			floor := posting(b, in.startFloor(b), func(int) []byte { return get("/hello", "") })
			server := posting(b, in.address, func(int) []byte { return get("/.well-known/jwks.json", "") })
			compare(b, floor, server).report(b, "floor-req/s")
		})
	}
}

// posting returns callers that each repeat one request.
func posting(b *testing.B, address string, requestOf func(i int) []byte) []caller {
	b.Helper()
	callers := make([]caller, connections)
	for i := range callers {
		callers[i] = repeating(dial(b, address), requestOf(i))
	}
	return callers
}

// repeating returns a caller that repeats one request.
func repeating(c *connection, request []byte) caller {
	return func() error {
		_, err := c.send(request, 200)
		return err
	}
}

// loggingOut returns a caller that logs out of one session after the other, with more header lines.
func loggingOut(c *connection, tokens *tokens, sessions []owned, header string) caller {
	next := 0
	return func() error {
		if next == len(sessions) {
			return errors.New("all sessions are logged out: there must be more")
		}
		next++
		body := fmt.Sprintf(`{"refreshToken":%q}`, tokens.refreshOf(sessions[next-1]))
		_, err := c.send(request("/auth/logout", header, body), 200)
		return err
	}
}

// refreshing returns a caller that exchanges each refresh token for the next, with more header lines.
func refreshing(c *connection, token, header string) caller {
	return func() error {
		body, err := c.send(request("/auth/refresh-tokens", header, `{"refreshToken":"`+token+`"}`), 200)
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
