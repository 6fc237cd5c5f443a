package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sesame-auth/sesame/internal/audit"
)

// Logout revokes the session of a refresh token (RFC 7009, section 2). It accepts any token of the
// session, whether current, used or expired, and is idempotent. Once it returns nil, the session
// has ended for good. It returns ErrForeignRefreshToken if this server did not issue the token.
func (s *Service) Logout(ctx context.Context, refreshToken string, client Client) error {
	presented, err := s.config.RefreshTokens.Decode(refreshToken)
	if err != nil {
		return ErrForeignRefreshToken
	}
	now := s.now()
	err = s.db.Transaction(ctx, func(tx *gorm.DB) error {
		session, err := revokeSession(tx, presented.Session, RevokedByLogout, now)
		if session == nil || err != nil {
			return err // already revoked
		}
		return audit.Record(tx, ofSession(s.success(audit.Logout, nil, client), session))
	})
	if err != nil {
		return fmt.Errorf("logout: %w", err)
	}
	return nil
}

// revokeSession revokes a session and returns it, or nil if it was revoked already or does not
// exist. The first reason is kept.
func revokeSession(tx *gorm.DB, id uuid.UUID, reason RevokedReason, now time.Time) (*Session, error) {
	var session Session
	update := tx.Model(&session).Clauses(clause.Returning{}).
		Where("id = ? AND revoked_at IS NULL", id).
		Updates(map[string]any{"revoked_at": now, "revoked_reason": reason})
	if update.Error != nil || update.RowsAffected == 0 {
		return nil, update.Error
	}
	return &session, nil
}
