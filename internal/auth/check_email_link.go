package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/sesame-auth/sesame/internal/audit"
)

// EmailLink is what a valid emailed token is for.
type EmailLink struct {
	Purpose   Purpose
	ExpiresAt time.Time
}

// CheckEmailLink returns what an emailed token is for, and does not use it up. It returns
// ErrInvalidLink, or *ThrottledError if the network sent too many invalid tokens.
func (s *Service) CheckEmailLink(ctx context.Context, token string, client Client) (*EmailLink, error) {
	now, db := s.now(), s.db.WithContext(ctx)
	var row OneTimeToken
	err := validOneTimeToken(db, token, now).Take(&row).Error
	if err == nil {
		return &EmailLink{Purpose: row.Purpose, ExpiresAt: row.ExpiresAt}, nil
	}
	if !errors.Is(err, gorm.ErrRecordNotFound) {
		return nil, fmt.Errorf("check email link: %w", err)
	}
	previous, err := findPreviousEmail(db, token, now)
	if err != nil {
		event := s.failure(audit.CheckEmailLink, nil, client)
		return nil, fmt.Errorf("check email link: %w", s.recordInvalidLink(ctx, event, err))
	}
	return &EmailLink{Purpose: PurposeUndoEmailChange, ExpiresAt: previous.ExpiresAt}, nil
}
