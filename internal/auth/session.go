package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/token"
)

// Session is one login and everything that follows from it: one row, however often it is refreshed.
type Session struct {
	ID            uuid.UUID `gorm:"primaryKey"`
	UserID        uuid.UUID
	Generation    int64      // the user's when the session was created
	Counter       int64      // of the current refresh token
	CreatedAt     time.Time  `gorm:"autoCreateTime:false"`
	RotatedAt     time.Time  // when the current refresh token was made
	ExpiresAt     time.Time  // absolute: a refresh does not move it
	IdleExpiresAt time.Time  // moved by every refresh
	RevokedAt     *time.Time // nil: not revoked
	RevokedReason *RevokedReason
	IP            string // the client's, at the login
	LastIP        string // the client's, at the login or the last refresh
	UserAgent     string // the client's, at the login; untrusted text

	AuthTime time.Time     // when the user last proved the identity
	Methods  token.Methods `gorm:"column:amr"` // how
	// PasskeyID is the passkey that the user has proved to have; nil: none.
	PasskeyID *uuid.UUID
}

// RevokedReason is why a session was revoked.
type RevokedReason string

// The reasons.
const (
	RevokedByLogout RevokedReason = "logout"
	RevokedByReuse  RevokedReason = "reuse"
	RevokedByCap    RevokedReason = "cap"
	RevokedByUser   RevokedReason = "user" // with another session
)

// expired reports whether the session has reached its absolute or its idle expiry.
func (s *Session) expired(now time.Time) bool {
	return !now.Before(s.ExpiresAt) || !now.Before(s.IdleExpiresAt)
}

// EndsAt returns when the session ends if it is not used.
func (s *Session) EndsAt() time.Time {
	if s.IdleExpiresAt.Before(s.ExpiresAt) {
		return s.IdleExpiresAt
	}
	return s.ExpiresAt
}

// liveSessions selects the valid sessions. They are neither revoked nor expired, and belong to the
// current generation of a user who is not disabled.
func liveSessions(tx *gorm.DB, now time.Time) *gorm.DB {
	return tx.Model(&Session{}).
		Joins("JOIN users ON users.id = sessions.user_id AND users.generation = sessions.generation").
		Where("users.disabled_at IS NULL").
		Where("sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?", now, now)
}

// Client is where a request came from.
type Client = audit.Origin

// Tokens are the tokens of a session.
type Tokens struct {
	Access    string
	Refresh   string
	ExpiresIn time.Duration // of Access, from now
}

// issueTokens makes the tokens of a session whose current refresh token has this counter.
func (s *Service) issueTokens(session *Session, counter int64, emailVerified bool) (*Tokens, error) {
	access, err := s.config.AccessTokens.Issue(token.Access{
		User: session.UserID, Session: session.ID, AuthTime: session.AuthTime, Methods: session.Methods,
		EmailVerified: emailVerified,
	})
	if err != nil {
		return nil, fmt.Errorf("issue tokens: %w", err)
	}
	refresh := s.config.RefreshTokens.Encode(token.Refresh{Session: session.ID, Counter: counter})
	return &Tokens{Access: access, Refresh: refresh, ExpiresIn: s.config.AccessTokens.Lifetime()}, nil
}

// maxSessions is how many live sessions a user may have. Concurrent logins may exceed it until the
// next login.
const maxSessions = 100

// evictSessions revokes the sessions that exceed maxSessions after a login. It keeps the most
// recently refreshed ones, as devices in use refresh theirs. It also deletes expired sessions,
// which would be counted again at the next login.
func (s *Service) evictSessions(ctx context.Context, user *User, created *Session, client Client) error {
	now := created.CreatedAt
	return s.db.Transaction(ctx, func(tx *gorm.DB) error {
		expired := tx.Exec(`
			DELETE FROM sessions WHERE id IN (
				SELECT id FROM sessions
				WHERE user_id = ? AND generation = ? AND revoked_at IS NULL AND (expires_at <= ? OR idle_expires_at <= ?)
				LIMIT ?)
			AND (expires_at <= ? OR idle_expires_at <= ?)`, // again: see database.DeleteUntil
			user.ID, user.Generation, now, now, purgeBatch, now, now)
		if expired.Error != nil {
			return expired.Error
		}
		var evicted []Session
		err := tx.Model(&evicted).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}, {Name: "user_id"}}}).
			Where(`id IN (
				SELECT id FROM sessions
				WHERE user_id = ? AND generation = ? AND revoked_at IS NULL AND expires_at > ? AND idle_expires_at > ? AND id <> ?
				ORDER BY rotated_at DESC, id DESC LIMIT ? OFFSET ?)`,
				user.ID, user.Generation, now, now, created.ID, maxSessions, maxSessions-1).
			Updates(map[string]any{"revoked_at": now, "revoked_reason": RevokedByCap}).Error
		if err != nil {
			return err
		}
		events := make([]audit.Event, len(evicted))
		for i := range evicted {
			events[i] = ofSession(s.success(audit.Evict, user, client), &evicted[i])
		}
		return audit.Record(tx, events...)
	})
}

// raiseSession stores that the user of a session has proved a second factor in addition to the
// password. The time of the proof stays.
func raiseSession(tx *gorm.DB, session uuid.UUID) error {
	return tx.Model(&Session{}).Where("id = ? AND amr = ?", session, token.ByPassword).
		UpdateColumn("amr", token.ByTOTP).Error
}

// lowerSessions stores that the sessions of a user have proved the password only, because the
// second factor is gone.
func lowerSessions(tx *gorm.DB, user uuid.UUID) error {
	return tx.Model(&Session{}).
		Where("user_id = ? AND amr IN ?", user, []token.Methods{token.ByTOTP, token.ByRecoveryCode}).
		UpdateColumn("amr", token.ByPassword).Error
}

// lowerPasskeySessions stores that the sessions that were started with a passkey have proved one
// factor only, because the passkey is gone.
func lowerPasskeySessions(tx *gorm.DB, user uuid.UUID, passkeys ...uuid.UUID) error {
	return tx.Model(&Session{}).Where("user_id = ? AND passkey_id IN ?", user, passkeys).
		UpdateColumn("amr", token.ByRemovedPasskey).Error
}
