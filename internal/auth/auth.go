// Package auth implements accounts and sessions: registration, login, refresh, logout, password
// resets, and what operators do to users.
//
// Each use case is one file that reads top to bottom, with the reasons why it is safe. Races are
// decided by one conditional statement and the number of rows it changed, never by a read and a
// later write. The package does not know HTTP: it returns its own values and the errors of
// errors.go.
//
// # Sessions
//
// Login, CompleteLogin and FinishPasskeyLogin create sessions, all with startSession; nothing else
// does. If the user has a second factor, only a session that has proved two factors can be stored.
// A session ends in one of these ways:
//
//   - Logout, RevokeSession and the reuse of an old refresh token revoke one session.
//   - Each user has a generation. It is raised when the password is reset, changed or set, when the
//     user or an operator revokes all sessions, when a change of the email is undone, and when the
//     user is disabled. A session stores the generation in which it was created, and is valid only
//     while the user still has it. So changing one row ends all of a user's sessions. A login or
//     refresh in flight cannot escape: it creates or keeps a session of the old generation. Only
//     changing the password and LogoutEverywhere move one session, that of the caller, to the new
//     generation. Sessions never become valid again: a user who was disabled and enabled has to
//     log in.
//   - The sessions of a deleted user are deleted. Tokens contain the ids of user and session, so
//     they are useless for a later account with the same email.
package auth

import (
	"log/slog"
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/mail"
	"github.com/sesame-auth/sesame/internal/passkey"
	"github.com/sesame-auth/sesame/internal/password"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// Config configures a Service. All fields are required.
type Config struct {
	DB            *database.DB // migrated
	AccessTokens  *token.AccessTokens
	RefreshTokens token.RefreshCodec
	Challenges    token.Challenges
	TOTPSealer    secret.Sealer // encrypts the secrets of authenticator apps
	Passkeys      *passkey.RelyingParty
	Outbox        *mail.Outbox
	Hasher        *password.Hasher
	Passwords     password.Policy
	Throttle      *throttle.Throttle
	Now           func() time.Time
	Observer      Observer
	Log           *slog.Logger // receives warnings about likely attacks

	SessionLifetime    time.Duration // from the login to the end of the session
	IdleLifetime       time.Duration // from the last refresh to the end of the session
	RefreshGrace       time.Duration // in which a just-used refresh token returns the same new tokens again; 0: never
	ResetTokenLifetime time.Duration
	AuditRetention     time.Duration // events older than this are deleted
	LinkURL            string        // emailed links are <LinkURL>/reset-password#token=… and so on
	Brand              brand.Brand

	EmailVerification EmailVerification
	Registration      RegistrationMode
	NewLoginEmails    bool // email users about logins from networks that are not known
}

// EmailVerification is whether users have to prove that they own their email.
type EmailVerification string

// The values of EmailVerification.
const (
	VerificationOff      EmailVerification = "off"      // no links are sent
	VerificationOptional EmailVerification = "optional" // a link is sent at registration
	VerificationRequired EmailVerification = "required" // users log in only after using it
)

// RegistrationMode is who may register.
type RegistrationMode string

// The values of RegistrationMode.
const (
	RegistrationOpen   RegistrationMode = "open"
	RegistrationClosed RegistrationMode = "closed" // nobody: operators create the accounts
	// RegistrationPrivate is like open, but does not reveal whether an email has an account.
	RegistrationPrivate RegistrationMode = "private"
)

// Service implements the use cases. It is safe for concurrent use, and several processes may share
// one database.
type Service struct {
	*Reader

	config   Config
	throttle *throttle.Throttle

	// dummyHash has the current cost, and no password matches it. A login with an unknown email
	// verifies it, to take as long as with a known one. So does one of a user without a password.
	dummyHash string
}

// New returns a Service.
func New(config Config) *Service {
	return &Service{
		Reader: NewReader(config.DB, config.Now), config: config, throttle: config.Throttle,
		dummyHash: config.Hasher.Unmatched(),
	}
}

// maxAhead is how far the clock of another instance may be ahead.
const maxAhead = time.Minute
