package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
	"github.com/sesame-auth/sesame/internal/database"
)

// Logout ends the session of the refresh token (RFC 7009, section 2). Any token of the session will do,
// live, retired or expired: whoever wants it ended may end it. It is idempotent, and nil means that the
// session's end is durable. Errors: ErrForeignRefresh.
func (a *Authority) Logout(ctx context.Context, refreshToken string, client Client) error {
	presented, err := a.refresh.Decode(refreshToken)
	if err != nil {
		return ErrForeignRefresh
	}
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		session, err := revoke(tx, presented.Session, RevokedByLogout, now)
		if session == nil || err != nil {
			return err // it has ended before, and nothing happens
		}
		return audit.Record(tx, a.success(audit.Logout, &User{ID: session.UserID}, session, client))
	})
	if err != nil {
		return fmt.Errorf("logout: %w", err)
	}
	return nil
}

// revoke ends a session, and returns it, unless it has been revoked already; the first reason stays.
func revoke(tx *gorm.DB, id uuid.UUID, reason RevokedReason, now time.Time) (*Session, error) {
	var session Session
	update := tx.Model(&session).Clauses(clause.Returning{}).
		Where("id = ? AND revoked_at IS NULL", id).
		Updates(map[string]any{"revoked_at": now, "revoked_reason": reason})
	if update.Error != nil || update.RowsAffected == 0 {
		return nil, update.Error
	}
	return &session, nil
}
