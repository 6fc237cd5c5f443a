package httpapi

import (
	"context"

	"github.com/sesame-auth/sesame/gen/api"
)

// ListSessions returns the active sessions of the user.
func (s *Server) ListSessions(
	ctx context.Context, _ api.ListSessionsRequestObject,
) (api.ListSessionsResponseObject, error) {
	access := stateOf(ctx).access
	sessions, err := s.auth.Sessions(ctx, access)
	if err != nil {
		return nil, err
	}
	list := api.ListSessions200JSONResponse{Sessions: []api.Session{}}
	for i := range sessions {
		session := &sessions[i]
		list.Sessions = append(list.Sessions, api.Session{
			Id: session.ID.String(), CreatedAt: session.CreatedAt.UTC(), LastUsedAt: session.RotatedAt.UTC(),
			ExpiresAt: session.EndsAt().UTC(), Ip: session.IP, UserAgent: session.UserAgent,
			Current: session.ID == access.Session,
		})
	}
	return list, nil
}

// RevokeSession ends a session of the user.
func (s *Server) RevokeSession(
	ctx context.Context, request api.RevokeSessionRequestObject,
) (api.RevokeSessionResponseObject, error) {
	if err := s.auth.RevokeSession(ctx, stateOf(ctx).access, request.SessionId, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.RevokeSession200JSONResponse{Message: "Session ended"}, nil
}

// LogoutEverywhere ends the sessions of the user.
func (s *Server) LogoutEverywhere(
	ctx context.Context, request api.LogoutEverywhereRequestObject,
) (api.LogoutEverywhereResponseObject, error) {
	keepCurrent := request.Body.KeepCurrent != nil && *request.Body.KeepCurrent
	if err := s.auth.LogoutEverywhere(ctx, stateOf(ctx).access, keepCurrent, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.LogoutEverywhere200JSONResponse{Message: "Logged out everywhere"}, nil
}

// Reauthenticate proves the identity of the user again.
func (s *Server) Reauthenticate(
	ctx context.Context, request api.ReauthenticateRequestObject,
) (api.ReauthenticateResponseObject, error) {
	state := stateOf(ctx)
	password, err := requirePassword("/password", request.Body.Password, state.access.User)
	if err != nil {
		return nil, err
	}
	code := ""
	if request.Body.Code != nil {
		code = *request.Body.Code
	}
	tokens, err := s.auth.Reauthenticate(ctx, state.access, password, code, state.client)
	if err != nil {
		return nil, err
	}
	return api.Reauthenticate200JSONResponse(toAPITokens(tokens)), nil
}

// CheckAccess returns to a reverse proxy which user a request comes from.
func (s *Server) CheckAccess(
	ctx context.Context, _ api.CheckAccessRequestObject,
) (api.CheckAccessResponseObject, error) {
	access := stateOf(ctx).access
	return api.CheckAccess200JSONResponse{
		Body: api.Confirmation{Message: "Access granted"},
		Headers: api.CheckAccess200ResponseHeaders{
			XUserId: access.User.ID.String(), XUserEmail: access.User.Email,
			XUserEmailVerified: access.User.EmailVerified(), XSessionId: access.Session.String(),
		},
	}, nil
}
