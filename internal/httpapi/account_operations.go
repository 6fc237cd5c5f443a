package httpapi

import (
	"context"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
)

// GetAccount returns the account of the access token.
func (s *Server) GetAccount(ctx context.Context, _ api.GetAccountRequestObject) (api.GetAccountResponseObject, error) {
	account, err := s.auth.Account(ctx, stateOf(ctx).access)
	if err != nil {
		return nil, err
	}
	return api.GetAccount200JSONResponse(toAPIAccount(account)), nil
}

// UpdateAccount changes the properties that are present. A bio that is null is removed.
func (s *Server) UpdateAccount(
	ctx context.Context, request api.UpdateAccountRequestObject,
) (api.UpdateAccountResponseObject, error) {
	change := auth.ProfileChange{Name: request.Body.Name}
	if request.Body.Bio.IsSpecified() {
		change.Bio = new(optional(request.Body.Bio))
	}
	account, err := s.auth.UpdateAccount(ctx, stateOf(ctx).access, change, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.UpdateAccount200JSONResponse(toAPIAccount(account)), nil
}

// ChangePassword sets a new password for a user who knows the current one.
func (s *Server) ChangePassword(
	ctx context.Context, request api.ChangePasswordRequestObject,
) (api.ChangePasswordResponseObject, error) {
	current, err := requirePassword("/currentPassword", request.Body.CurrentPassword, stateOf(ctx).access.User)
	if err != nil {
		return nil, err
	}
	tokens, err := s.auth.ChangePassword(ctx, stateOf(ctx).access, current, request.Body.Password, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.ChangePassword200JSONResponse(toAPITokens(tokens)), nil
}

// DeleteAccount deletes the account of the access token.
func (s *Server) DeleteAccount(
	ctx context.Context, request api.DeleteAccountRequestObject,
) (api.DeleteAccountResponseObject, error) {
	password, err := requirePassword("/password", request.Body.Password, stateOf(ctx).access.User)
	if err != nil {
		return nil, err
	}
	if err := s.auth.DeleteAccount(ctx, stateOf(ctx).access, password, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.DeleteAccount200JSONResponse{Message: "Account deleted"}, nil
}

// ExportAccount returns all data of the account.
func (s *Server) ExportAccount(
	ctx context.Context, _ api.ExportAccountRequestObject,
) (api.ExportAccountResponseObject, error) {
	export, err := s.auth.ExportAccount(ctx, stateOf(ctx).access, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.ExportAccount200JSONResponse(toAPIExport(export)), nil
}

// requirePassword returns the password in a request. If the user has one, it is required.
func requirePassword(pointer string, password *string, user *auth.User) (string, error) {
	switch {
	case password != nil:
		return *password, nil
	case !user.HasPassword():
		return "", nil
	}
	invalid := &invalidRequestError{}
	invalid.add(pointer, api.ValidationCodeRequired, isRequired)
	return "", invalid
}

func toAPIAccount(account *auth.Account) api.Account {
	return api.Account{
		Id: account.ID.String(), Name: account.Name, Bio: orNull(account.Bio), Email: account.Email,
		EmailVerified: account.EmailVerified(), PendingEmail: orNull(account.PendingEmail),
		CreatedAt: account.CreatedAt.UTC(),
	}
}
