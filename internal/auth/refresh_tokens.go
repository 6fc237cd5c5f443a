package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/token"
)

// RefreshTokens trades a refresh token for its successor and a new access token (RFC 9700, section
// 4.14.2: rotation). Errors: ErrInvalidRefresh.
//
//  1. A token that is not authentic is refused without a query.
//  2. One statement moves the counter on if the token is the live one of a valid session. Of any number of
//     requests with it, one succeeds.
//  3. The others find the counter one ahead. Within the grace they get the same successor, which is derived
//     from the counter: there is never a second live token. So a client that races itself, or lost the
//     answer on the way, stays logged in. The grace is the parent's alone and over once the successor is used.
//  4. Any other authentic token is retired: two parties hold this session, and one of them stole it. Which
//     one cannot be told, so the session ends for both.
func (a *Authority) RefreshTokens(ctx context.Context, refreshToken string, client Client) (*Tokens, error) {
	presented, err := a.refresh.Decode(refreshToken)
	if err != nil {
		return nil, ErrInvalidRefresh
	}
	now := a.now()
	var session Session
	var rotated bool
	err = database.Statement(ctx, a.db, func(db *gorm.DB) (err error) {
		rotated, err = rotate(db, presented, now, a.settings.IdleLifetime, &session)
		return err
	})
	if err == nil && !rotated {
		err = a.judgeRetired(ctx, presented, now, &session, client)
	}
	if err != nil {
		return nil, fmt.Errorf("refresh tokens: %w", err)
	}
	return a.issue(&session, presented.Counter+1)
}

// judgeRetired fills session if the authentic token, which rotate did not take, is of a client that raced itself, and
// ends a session that two parties hold. Errors: ErrInvalidRefresh.
func (a *Authority) judgeRetired(ctx context.Context, presented token.Refresh, now time.Time, session *Session, client Client) error {
	var user *User
	var outcome verdict
	err := database.Transaction(ctx, a.db, func(tx *gorm.DB) (err error) {
		if user, err = load(tx, presented, session); err != nil {
			return err
		}
		if outcome = a.judge(presented, session, user, now); outcome == reused {
			// Returns nil although the request is refused: a rollback would let the thief go on.
			return a.endReused(tx, user, session, client)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case outcome != replayed:
		return ErrInvalidRefresh
	}
	return a.recordOnce(ctx, a.success(audit.Replay, user, session, client), session.ID.String())
}

// rotate retires the presented token, if it is live, in favour of the next, and then fills session.
func rotate(db *gorm.DB, presented token.Refresh, now time.Time, idle time.Duration, session *Session) (bool, error) {
	update := db.Model(session).Clauses(clause.Returning{}).
		Where("id = ? AND counter = ? AND revoked_at IS NULL", presented.Session, presented.Counter).
		Where("expires_at > ? AND idle_expires_at > ?", now, now).
		Where("EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.generation = sessions.generation AND users.disabled_at IS NULL)").
		Updates(map[string]any{"counter": gorm.Expr("counter + 1"), "rotated_at": now, "idle_expires_at": now.Add(idle)})
	return update.RowsAffected == 1, update.Error
}

// load reads the session of a token into session, and its user. A session that is gone leaves both empty.
func load(tx *gorm.DB, presented token.Refresh, session *Session) (*User, error) {
	err := tx.Where("id = ?", presented.Session).Take(session).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	if err != nil {
		return nil, err
	}
	var user User
	err = tx.Where("id = ?", session.UserID).Take(&user).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, nil //nolint:nilnil // nobody is an answer
	}
	return &user, err
}

// endReused ends a session two parties hold.
func (a *Authority) endReused(tx *gorm.DB, user *User, session *Session, client Client) error {
	ended, err := revoke(tx, session.ID, RevokedByReuse, a.now())
	if ended == nil || err != nil {
		return err
	}
	event := a.attempt(audit.Reuse, user, client)
	event.SessionID, event.Detail = session.ID, "a retired refresh token: the session is revoked"
	return audit.Record(tx, event)
}

type verdict int

const (
	refused verdict = iota
	replayed
	reused
)

// judge decides over an authentic token that rotate did not take.
func (a *Authority) judge(presented token.Refresh, session *Session, user *User, now time.Time) verdict {
	switch {
	case user == nil || user.DisabledAt != nil || user.Generation != session.Generation:
		return refused
	case session.RevokedAt != nil || session.expired(now):
		// Revoked is not rotated: after a logout there is no grace, and nothing left to end.
		return refused
	case presented.Counter == session.Counter:
		return refused // the session became valid again a moment after rotate looked; the client may try again
	case presented.Counter == session.Counter-1 && now.Before(session.RotatedAt.Add(a.settings.RefreshGrace)):
		return replayed
	default:
		return reused
	}
}
