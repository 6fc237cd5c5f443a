package httpapi

import (
	"context"

	"github.com/sesame-auth/sesame/gen/api"
)

// SendVerificationEmail sends a link by email.
func (s *Server) SendVerificationEmail(
	ctx context.Context, request api.SendVerificationEmailRequestObject,
) (api.SendVerificationEmailResponseObject, error) {
	if err := s.auth.SendVerificationEmail(ctx, request.Body.Email, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.SendVerificationEmail202JSONResponse{
		Message: "If the email has an account and is not verified, we have sent it a link",
	}, nil
}

// VerifyEmail verifies an email.
func (s *Server) VerifyEmail(
	ctx context.Context, request api.VerifyEmailRequestObject,
) (api.VerifyEmailResponseObject, error) {
	if err := s.auth.VerifyEmail(ctx, request.Body.Token, request.Body.Password, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.VerifyEmail200JSONResponse{Message: "Email verified"}, nil
}

// ChangeEmail sends a link to a new email.
func (s *Server) ChangeEmail(
	ctx context.Context, request api.ChangeEmailRequestObject,
) (api.ChangeEmailResponseObject, error) {
	password, err := requirePassword("/password", request.Body.Password, stateOf(ctx).access.User)
	if err != nil {
		return nil, err
	}
	state := stateOf(ctx)
	if err := s.auth.ChangeEmail(ctx, state.access, request.Body.Email, password, state.client); err != nil {
		return nil, err
	}
	return api.ChangeEmail202JSONResponse{Message: "We have sent a link to the new email"}, nil
}

// CancelEmailChange makes the link invalid that ChangeEmail has sent.
func (s *Server) CancelEmailChange(
	ctx context.Context, _ api.CancelEmailChangeRequestObject,
) (api.CancelEmailChangeResponseObject, error) {
	if err := s.auth.CancelEmailChange(ctx, stateOf(ctx).access, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.CancelEmailChange200JSONResponse{Message: "Email change canceled"}, nil
}

// ConfirmEmailChange changes the email.
func (s *Server) ConfirmEmailChange(
	ctx context.Context, request api.ConfirmEmailChangeRequestObject,
) (api.ConfirmEmailChangeResponseObject, error) {
	err := s.auth.ConfirmEmailChange(ctx, request.Body.Token, request.Body.Password, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.ConfirmEmailChange200JSONResponse{Message: "Email changed"}, nil
}

// UndoEmailChange restores the previous email.
func (s *Server) UndoEmailChange(
	ctx context.Context, request api.UndoEmailChangeRequestObject,
) (api.UndoEmailChangeResponseObject, error) {
	if err := s.auth.UndoEmailChange(ctx, request.Body.Token, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.UndoEmailChange200JSONResponse{
		Message: "Email restored; we have sent it a link to set a new password",
	}, nil
}

// CheckEmailLink reports what an emailed token is for.
func (s *Server) CheckEmailLink(
	ctx context.Context, request api.CheckEmailLinkRequestObject,
) (api.CheckEmailLinkResponseObject, error) {
	link, err := s.auth.CheckEmailLink(ctx, request.Body.Token, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.CheckEmailLink200JSONResponse{Purpose: string(link.Purpose), ExpiresAt: link.ExpiresAt.UTC()}, nil
}
