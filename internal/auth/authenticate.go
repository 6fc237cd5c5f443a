package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/database"
	"github.com/sesame-auth/sesame/internal/token"
)

// Access is what a valid access token gives access to.
type Access struct {
	User    *User
	Session uuid.UUID

	AuthTime time.Time     // when the user had last proved the identity when the token was issued
	Methods  token.Methods // how
}

// Authenticate returns the user and the session that an access token belongs to. It returns
// ErrInvalidAccessToken if the token is not valid, or if its session has ended.
//
// The signature proves which user and session the token was issued for. Whether they are still
// valid is read from the database, in one query, so a logout, a reset or a disabled account takes
// effect immediately.
func (s *Service) Authenticate(ctx context.Context, accessToken string) (*Access, error) {
	access, err := s.config.AccessTokens.Verify(ctx, accessToken)
	if errors.Is(err, database.ErrUnavailable) { // the key could not be looked up
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidAccessToken, err)
	}
	now := s.now()
	var user User
	err = s.db.WithContext(ctx).
		Joins("JOIN sessions ON sessions.user_id = users.id AND sessions.generation = users.generation").
		Where(`sessions.id = ? AND users.id = ? AND users.disabled_at IS NULL
			AND sessions.revoked_at IS NULL AND sessions.expires_at > ? AND sessions.idle_expires_at > ?`,
			// As text, because pgx tries many ways to encode a uuid.UUID.
			access.Session.String(), access.User.String(), now, now).
		Take(&user).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, ErrInvalidAccessToken
	case err != nil:
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return &Access{
		User: &user, Session: access.Session, AuthTime: access.AuthTime, Methods: access.Methods,
	}, nil
}
