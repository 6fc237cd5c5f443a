package bench

import (
	"slices"
	"testing"
	"time"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/token"
)

// tokens makes the tokens of sessions that were made by SQL, as the server would.
type tokens struct {
	access  *token.AccessTokens
	refresh token.RefreshCodec
}

// tokens returns a maker of the tokens of a running installation. They are valid for 15 minutes.
func (in *installation) tokens(b *testing.B) *tokens {
	b.Helper()
	db, err := database.Open(b.Context(), in.databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	secrets, lifetime := []secret.Secret{in.secret}, 15*time.Minute
	keys, err := signing.Open(b.Context(), signing.Config{
		DB: db, Secrets: secrets, Algorithm: signing.ES256, TokenLifetime: lifetime, Now: time.Now,
	})
	if err != nil {
		b.Fatal(err)
	}
	issuer := "http://" + in.address
	return &tokens{
		access: token.NewAccessTokens(token.AccessConfig{
			Keys: keys, Issuer: issuer, Audience: issuer, Lifetime: lifetime, Now: time.Now,
		}),
		refresh: token.NewRefreshCodec(secrets),
	}
}

// accessOf returns an access token. Each call returns another one.
func (t *tokens) accessOf(b *testing.B, of owned) string {
	b.Helper()
	text, err := t.access.Issue(token.Access{
		User: of.user, Session: of.session, AuthTime: time.Now(), EmailVerified: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// refreshOf returns the first refresh token of a session.
func (t *tokens) refreshOf(of owned) string {
	return t.refresh.Encode(token.Refresh{Session: of.session, Counter: 1})
}

// addSessions adds sessions of the users to the database.
func (in *installation) addSessions(b *testing.B, count int) []owned {
	b.Helper()
	r := openRows(b, in.engine, in.databaseURL)
	defer r.close()
	return r.addSessions(b, count)
}

// sessionsEach is how many sessions a connection can log out in a second.
const sessionsEach = 1500

// sessionsToLogOut adds enough sessions for a measurement with -benchtime, and returns those of each
// connection.
func (in *installation) sessionsToLogOut(b *testing.B) [][]owned {
	b.Helper()
	benchtime := benchtimeOf(b)
	each := int(sessionsEach * (benchtime + (benchtime/turn+1)*warmUp).Seconds())
	return slices.Collect(slices.Chunk(in.addSessions(b, connections*each), each))
}
