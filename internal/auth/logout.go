package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
)

// Logout ends the session of the refresh token (RFC 7009, section 2). Any token of the session will do,
// live, retired or expired: whoever wants it ended may end it. It is idempotent, and nil means that the
// session's end is durable. Errors: ErrForeignRefresh.
func (a *Authority) Logout(ctx context.Context, refreshToken string) error {
	presented, err := a.refresh.Decode(refreshToken)
	if err != nil {
		return ErrForeignRefresh
	}
	now := a.now()
	err = database.Transaction(ctx, a.db, func(tx *gorm.DB) error {
		return revoke(tx, presented.Session, RevokedByLogout, now)
	})
	if err != nil {
		return fmt.Errorf("logout: %w", err)
	}
	return nil
}

// revoke ends a session unless it has been revoked already; the first reason stays.
func revoke(tx *gorm.DB, session uuid.UUID, reason RevokedReason, now time.Time) error {
	return tx.Model(&Session{}).
		Where("id = ? AND revoked_at IS NULL", session).
		Updates(map[string]any{"revoked_at": now, "revoked_reason": reason}).Error
}
