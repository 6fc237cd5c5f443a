package auth

import (
	"context"
	"fmt"
)

// Sessions returns the active sessions of the user of the access token, the latest login first, at
// most maxSessions.
func (s *Service) Sessions(ctx context.Context, access *Access) ([]Session, error) {
	sessions, err := s.LiveSessions(ctx, access.User.ID)
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions[:min(len(sessions), maxSessions)], nil
}
