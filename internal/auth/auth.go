// Package auth decides who has an account, who is logged in, and what ends a session.
//
// Each use case is one file that reads top to bottom, with the reasons why it is safe. A race is decided by
// one conditional statement and the number of rows it changed, never by a read and a later write. The package
// knows nothing of HTTP: it returns its own values and the errors of errors.go.
//
// # Sessions
//
// [Service.Login] creates sessions; nothing else does. A session ends in one of these ways:
//
//   - Logout, and the reuse of an old refresh token, revoke one session.
//   - A user has a generation, which goes up when the password is reset or set, when an operator revokes the
//     user's sessions, and when the user is disabled. A session stores the generation it was created in and is
//     valid only while the user still has it. So raising it ends all of the user's sessions by changing one
//     row, and no login or refresh in flight can escape: it leaves a session of the old generation. Sessions
//     never become valid again: a user who is enabled after being disabled has to log in.
//   - The sessions of a deleted user are deleted. Tokens carry the ids of user and session, so they are worth
//     nothing for a later account with the same email.
package auth

import (
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// Config configures a Service. All fields are required.
type Config struct {
	DB            *database.DB // migrated
	AccessTokens  *token.AccessTokens
	RefreshTokens token.RefreshCodec
	Outbox        *mail.Outbox
	Hasher        *password.Hasher
	Throttle      *throttle.Throttle
	Now           func() time.Time

	SessionLifetime    time.Duration // from the login to the end of the session
	IdleLifetime       time.Duration // from the last refresh to the end of the session
	RefreshGrace       time.Duration // in which a just-used refresh token returns the same new tokens again; 0: never
	ResetTokenLifetime time.Duration
	AuditRetention     time.Duration // events older than this are deleted
	ResetURL           string        // the page where users reset their password; links to it end in #token=…
	Brand              brand.Brand
}

// Service implements the use cases. It is safe for concurrent use, and several processes may share one
// database.
type Service struct {
	config   Config
	db       *database.DB
	throttle *throttle.Throttle

	// dummyHash is a hash that no password matches, with the current cost. An unknown email is checked against
	// it, so that it takes as long as a known one. Users without a password have it, too.
	dummyHash string
}

// New returns a Service.
func New(config Config) *Service {
	return &Service{config: config, db: config.DB, throttle: config.Throttle, dummyHash: config.Hasher.Unmatched()}
}

// now returns the time in UTC and in microseconds, as both engines store it.
func (s *Service) now() time.Time { return s.config.Now().UTC().Truncate(time.Microsecond) }
