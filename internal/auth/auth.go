// Package auth is the domain: it decides who has an account, who is logged in, and what ends that.
//
// One use case is one file, and each file is the argument for its own safety. A race is settled by one
// conditional statement and the number of rows it changed, never by a read and a later write. The package
// knows nothing of HTTP: it returns its own values and the errors listed in errors.go.
//
// What ends sessions:
//
//   - Logout, and the reuse of a retired refresh token, revoke one session.
//   - A user's generation goes up when the password is reset or set anew, when an operator revokes the
//     sessions, and when the user is disabled. A session carries the generation it was opened under and is
//     valid only while the user still has it, so raising it ends all of the user's sessions in one row, and
//     nothing in flight can slip past: a login or a refresh that was decided before leaves a session of the
//     old generation. None comes back: a disabled user who is enabled has to log in.
//   - A deleted user's sessions are deleted too. Tokens of an account carry its id and the session's, so they
//     are worth nothing for another account of the same address.
package auth

import (
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// Settings are the lifetimes the authority grants.
type Settings struct {
	SessionLifetime    time.Duration // a session ends this long after the login, however busy
	IdleLifetime       time.Duration // a session ends when it was not refreshed for this long
	RefreshGrace       time.Duration // a token just traded may be presented again for this long; 0: never
	ResetTokenLifetime time.Duration
	AuditRetention     time.Duration // events older than this are purged
	ResetURL           string        // the page where a password is reset; links to it end in #token=…
	Product            string        // the service's name, as letters have it
}

// Authority answers the questions of this package from the database. It is safe for concurrent use, in
// one process and in many.
type Authority struct {
	db       *gorm.DB
	access   *token.AccessTokens
	refresh  token.RefreshCodec
	outbox   *mail.Outbox
	hasher   *password.Hasher
	throttle *throttle.Throttle // nil: nothing is limited
	settings Settings
	clock    func() time.Time

	// absent is a hash that no password matches. An unknown address is checked against it, so that it takes as
	// long as a known one: its cost is today's, as every user's is after a login. Users without a password have
	// it, too.
	absent string
}

// New makes an authority over a migrated database. With limits nil, nothing is limited.
func New(db *gorm.DB, access *token.AccessTokens, refresh token.RefreshCodec, outbox *mail.Outbox, hasher *password.Hasher, limits *throttle.Throttle, settings Settings, clock func() time.Time) *Authority {
	return &Authority{
		db: db, access: access, refresh: refresh, outbox: outbox, hasher: hasher, throttle: limits, settings: settings, clock: clock,
		absent: password.Unmatched(),
	}
}

// now is the time of a whole operation: UTC, in the microseconds that both engines keep.
func (a *Authority) now() time.Time { return a.clock().UTC().Truncate(time.Microsecond) }
