package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/throttle"
	"github.com/sesame-auth/sesame/internal/token"
)

// RefreshTokens exchanges a refresh token for a new one and a new access token (RFC 9700, section
// 4.14.2: rotation). It returns ErrInvalidRefreshToken if the token is not accepted.
//
//  1. A token that is not authentic is refused without a query.
//  2. One statement increments the counter if the token is the current one of a valid session. Of
//     several concurrent requests with the same token, one succeeds.
//  3. The others find that the counter is one ahead. Within the grace period they get the same new
//     token again, which is derived from the counter, so there is never a second current token. A
//     client that sent two requests at once, or that lost the response, stays logged in. Only the
//     previous token has this grace, and only until the new one is used.
//  4. Any older authentic token is reuse: two parties have this session, and one of them stole it.
//     Sesame cannot know which, so it revokes the session.
func (s *Service) RefreshTokens(ctx context.Context, refreshToken string, client Client) (*Tokens, error) {
	presented, err := s.config.RefreshTokens.Decode(refreshToken)
	if err != nil {
		s.config.Observer.Outcome("refresh", string(refused))
		return nil, ErrInvalidRefreshToken
	}
	session, outcome, err := s.refresh(ctx, presented, client)
	if err != nil {
		s.config.Observer.Outcome("refresh", "error")
		return nil, fmt.Errorf("refresh tokens: %w", err)
	}
	s.config.Observer.Outcome("refresh", string(outcome))
	if session == nil {
		return nil, fmt.Errorf("refresh tokens: %w", ErrInvalidRefreshToken)
	}
	return s.issueTokens(&session.Session, presented.Counter+1, session.EmailVerified)
}

// refreshAttempts is how often refresh tries to rotate a token that it missed.
const refreshAttempts = 3

// refresh decides about an authentic token. It returns its session if the token is accepted.
func (s *Service) refresh(
	ctx context.Context, presented token.Refresh, client Client,
) (session *refreshable, outcome verdict, err error) {
	now := s.now()
	for range refreshAttempts {
		err = s.db.Statement(ctx, func(db *gorm.DB) (err error) {
			session, err = s.rotate(db, presented, now, client)
			return err
		})
		if err != nil || session != nil {
			return session, rotated, err
		}
		session, outcome, err = s.replay(ctx, presented, now, client)
		if err != nil || outcome != missed {
			return session, outcome, err
		}
	}
	return nil, refused, nil
}

// refreshable is a session with what a refresh needs to know about its user.
type refreshable struct {
	Session       `gorm:"embedded"`
	Email         string `gorm:"->"`
	EmailVerified bool   `gorm:"->"`
	Current       bool   `gorm:"->"` // the user has the generation of the session, and is not disabled
}

// TableName returns the table's name.
func (refreshable) TableName() string { return "sessions" }

// inTokens returns the columns of a session that its tokens contain.
var inTokens = clause.Returning{Columns: []clause.Column{
	{Name: "id"}, {Name: "user_id"}, {Name: "auth_time"}, {Name: "amr"},
	{Name: "(SELECT email_verified_at IS NOT NULL FROM users WHERE users.id = user_id) AS email_verified", Raw: true},
}}

// rotate increments the counter of the token's session and returns what the new tokens contain, or
// nil if the token is not the current one of a valid session.
func (s *Service) rotate(db *gorm.DB, presented token.Refresh, now time.Time, client Client) (*refreshable, error) {
	var session refreshable
	update := db.Model(&session).
		Clauses(inTokens).
		Where("id = ? AND counter = ? AND revoked_at IS NULL", presented.Session, presented.Counter).
		Where("expires_at > ? AND idle_expires_at > ?", now, now).
		Where(`EXISTS (
			SELECT 1 FROM users
			WHERE users.id = sessions.user_id AND users.generation = sessions.generation AND users.disabled_at IS NULL)`).
		Updates(s.nextToken(now, client))
	if update.Error != nil || update.RowsAffected == 0 {
		return nil, update.Error
	}
	return &session, nil
}

// nextToken returns the changes of a session that make its next refresh token. The previous one has
// its grace period from now. A session that began while a clock was ahead ends no later than one
// that begins now.
func (s *Service) nextToken(now time.Time, client Client) map[string]any {
	latest := now.Add(s.config.SessionLifetime)
	return map[string]any{
		"counter":         gorm.Expr("counter + 1"),
		"rotated_at":      now,
		"last_ip":         client.IP,
		"idle_expires_at": now.Add(s.config.IdleLifetime),
		"expires_at":      gorm.Expr("CASE WHEN expires_at > ? THEN ? ELSE expires_at END", latest, latest),
	}
}

// replay handles an authentic token that rotate did not accept. It returns the session if the token
// is within its grace period, revokes the session if the token was reused, and returns nil
// otherwise.
func (s *Service) replay(
	ctx context.Context, presented token.Refresh, now time.Time, client Client,
) (*refreshable, verdict, error) {
	var session *refreshable
	var outcome verdict
	var reuse *audit.Event
	err := s.db.Transaction(ctx, func(tx *gorm.DB) (err error) {
		reuse = nil
		if session, err = loadSession(tx, presented); err != nil {
			return err
		}
		if outcome = s.judge(presented, session, now); outcome == reused {
			// Returns nil although the request is refused: a rollback would keep the session alive.
			reuse, err = s.revokeReused(tx, session, client)
		}
		return err
	})
	if err == nil && reuse != nil {
		s.warn("an old refresh token was used again: it was probably stolen; the session is revoked", *reuse)
	}
	if err != nil || outcome != replayed {
		return nil, outcome, err
	}
	event := ofSession(s.success(audit.Replay, nil, client), &session.Session)
	event.Email = session.Email
	if throttle.Network(client.IP) != throttle.Network(session.LastIP) {
		outcome, event.Kind = replayedElsewhere, audit.ReplayElsewhere
		event.Detail = "the token was first used from " + session.LastIP
	}
	once := throttle.Charge{Limit: repeatedEvents, Subject: string(event.Kind) + " " + session.ID.String()}
	recorded, err := s.recordOnce(ctx, event, once)
	if err != nil {
		return nil, outcome, err
	}
	if recorded && outcome == replayedElsewhere {
		s.warn("a refresh token was used twice within the grace period, from two networks; "+
			"it may have been stolen", event)
	}
	return session, outcome, nil
}

// loadSession reads the session of a token, or nil if it does not exist. One statement reads
// session and user, because changing the password changes the generation of both.
func loadSession(tx *gorm.DB, presented token.Refresh) (*refreshable, error) {
	var session refreshable
	err := tx.Select(`sessions.*, users.email, users.email_verified_at IS NOT NULL AS email_verified,
			users.generation = sessions.generation AND users.disabled_at IS NULL AS current`).
		Joins("JOIN users ON users.id = sessions.user_id").
		Where("sessions.id = ?", presented.Session).Take(&session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nil means that there is no such session
	}
	return &session, err
}

// verdict is what an authentic token was found to be. Its text is a label of a metric.
type verdict string

const (
	rotated           verdict = "rotated"
	refused           verdict = "refused"
	replayed          verdict = "replayed"
	replayedElsewhere verdict = "replayed-elsewhere"
	reused            verdict = "reused"
)

// missed is the verdict about the current token of a valid session. Something moved the session to
// the next generation while rotate was waiting for it, and rotate saw only one of two changed rows.
const missed verdict = "missed"

// judge decides about an authentic token that rotate did not accept.
func (s *Service) judge(presented token.Refresh, session *refreshable, now time.Time) verdict {
	switch {
	case session == nil || !session.Current:
		return refused
	case session.RevokedAt != nil || session.expired(now):
		return refused // a revoked session has no grace: there is nothing left to end
	case presented.Counter == session.Counter:
		return missed
	case presented.Counter == session.Counter-1 && s.inGrace(session, now):
		return replayed
	default:
		return reused
	}
}

// inGrace reports whether the session was refreshed within the last grace period. A time further
// ahead than that is of a clock that was ahead, and must not make the grace period longer.
func (s *Service) inGrace(session *refreshable, now time.Time) bool {
	since, grace := now.Sub(session.RotatedAt), s.config.RefreshGrace
	return since < grace && since >= -grace
}

// revokeReused revokes a session after an old refresh token was used, and records that. It returns
// the event, or nil if the session was revoked already.
func (s *Service) revokeReused(tx *gorm.DB, session *refreshable, client Client) (*audit.Event, error) {
	revoked, err := revokeSession(tx, session.ID, RevokedByReuse, s.now())
	if revoked == nil || err != nil {
		return nil, err
	}
	event := ofSession(s.failure(audit.Reuse, nil, client), revoked)
	event.Email = session.Email
	event.Detail = "an old refresh token was used again: the session is revoked"
	return &event, audit.Record(tx, event)
}
