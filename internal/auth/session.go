package auth

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/token"
)

// Session is one login and all that came of it: one row for ever, however often it is refreshed.
type Session struct {
	ID            uuid.UUID `gorm:"primaryKey"`
	UserID        uuid.UUID
	Generation    int64      // the user's when the session was opened
	Counter       int64      // of the one refresh token that is live
	CreatedAt     time.Time  `gorm:"autoCreateTime:false"`
	RotatedAt     time.Time  // when the live token was made
	ExpiresAt     time.Time  // absolute: rotation does not move it
	IdleExpiresAt time.Time  // moved by every rotation
	RevokedAt     *time.Time // nil: not revoked
	RevokedReason *RevokedReason
	Address       string // the client's, at login
	UserAgent     string // the client's, at login; untrusted text
}

// RevokedReason is why a session was revoked.
type RevokedReason string

// The reasons.
const (
	RevokedByLogout RevokedReason = "logout"
	RevokedByReuse  RevokedReason = "reuse"
	RevokedByCap    RevokedReason = "cap"
)

// expired tells whether the session is past either of its ends.
func (s *Session) expired(now time.Time) bool {
	return !now.Before(s.ExpiresAt) || !now.Before(s.IdleExpiresAt)
}

// liveSessions are those that can go on: neither revoked nor past an end, of the generation of a user who is not
// disabled.
func liveSessions(tx *gorm.DB, now time.Time) *gorm.DB {
	return tx.Model(&Session{}).
		Joins("JOIN users ON users.id = sessions.user_id AND users.generation = sessions.generation AND users.disabled_at IS NULL").
		Where("sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?", now, now)
}

// Client is who asks, as far as the connection tells.
type Client = audit.Origin

// Tokens are the pair a session goes on with.
type Tokens struct {
	Access    string
	Refresh   string
	ExpiresIn time.Duration // of Access, from now
}

// issue makes the tokens of a session whose live refresh token is the counter-th.
func (a *Authority) issue(session *Session, counter int64) (*Tokens, error) {
	access, err := a.access.Issue(session.UserID, session.ID, session.CreatedAt)
	if err != nil {
		return nil, fmt.Errorf("issue tokens: %w", err)
	}
	refresh := a.refresh.Encode(token.Refresh{Session: session.ID, Counter: counter})
	return &Tokens{Access: access, Refresh: refresh, ExpiresIn: a.access.Lifetime()}, nil
}

// mostSessions is how many live sessions a user may have. Logins at once may be that many more until the next.
const mostSessions = 100

// evict ends the sessions that a login left over the most: those not refreshed for longest, as devices in use
// refresh theirs.
func (a *Authority) evict(tx *gorm.DB, user *User, opened *Session, client Client) error {
	var evicted []Session
	err := tx.Model(&evicted).Clauses(clause.Returning{Columns: []clause.Column{{Name: "id"}}}).
		Where(`id IN (
			SELECT id FROM sessions
			WHERE user_id = ? AND generation = ? AND revoked_at IS NULL AND expires_at > ? AND idle_expires_at > ? AND id <> ?
			ORDER BY rotated_at DESC, id DESC LIMIT ? OFFSET ?)`,
			user.ID, user.Generation, opened.CreatedAt, opened.CreatedAt, opened.ID, mostSessions, mostSessions-1).
		Updates(map[string]any{"revoked_at": opened.CreatedAt, "revoked_reason": RevokedByCap}).Error
	if err != nil {
		return err
	}
	events := make([]audit.Event, len(evicted))
	for i := range evicted {
		events[i] = a.success(audit.Evict, user, &evicted[i], client)
	}
	return audit.Record(tx, events...)
}
