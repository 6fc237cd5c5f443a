package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/passkey"
)

// What the options of passkeys always say.
const (
	publicKey = "public-key"
	required  = "required"
)

// ListPasskeys returns the passkeys of the user.
func (s *Server) ListPasskeys(
	ctx context.Context, _ api.ListPasskeysRequestObject,
) (api.ListPasskeysResponseObject, error) {
	passkeys, err := s.auth.Passkeys(ctx, stateOf(ctx).access.User.ID)
	if err != nil {
		return nil, err
	}
	list := api.ListPasskeys200JSONResponse{Passkeys: []api.Passkey{}}
	for i := range passkeys {
		list.Passkeys = append(list.Passkeys, toAPIPasskey(&passkeys[i]))
	}
	return list, nil
}

// StartPasskeyRegistration returns the options for a browser that creates a passkey.
func (s *Server) StartPasskeyRegistration(
	ctx context.Context, _ api.StartPasskeyRegistrationRequestObject,
) (api.StartPasskeyRegistrationResponseObject, error) {
	access := stateOf(ctx).access
	options, err := s.auth.StartPasskeyRegistration(ctx, access)
	if err != nil {
		return nil, err
	}
	user := access.User
	created := api.StartPasskeyRegistration200JSONResponse{
		Rp: api.PasskeyRelyingParty{Id: options.RelyingPartyID, Name: options.Name},
		User: api.PasskeyUser{
			Id: base64url(user.ID[:]), Name: user.Email, DisplayName: user.Name,
		},
		Challenge:          base64url(options.Challenge),
		Timeout:            int32(options.Timeout.Milliseconds()), //nolint:gosec // minutes
		ExcludeCredentials: []api.PasskeyDescriptor{},
		AuthenticatorSelection: api.PasskeySelection{
			ResidentKey: required, RequireResidentKey: true, UserVerification: required,
		},
		Attestation: "none",
	}
	for _, algorithm := range passkey.Algorithms {
		created.PubKeyCredParams = append(created.PubKeyCredParams, api.PasskeyAlgorithm{Type: publicKey, Alg: algorithm})
	}
	for i := range options.Existing {
		existing := &options.Existing[i]
		created.ExcludeCredentials = append(created.ExcludeCredentials, api.PasskeyDescriptor{
			Type: publicKey, Id: base64url(existing.CredentialID), Transports: existing.TransportList(),
		})
	}
	return created, nil
}

// FinishPasskeyRegistration adds a passkey.
func (s *Server) FinishPasskeyRegistration(
	ctx context.Context, request api.FinishPasskeyRegistrationRequestObject,
) (api.FinishPasskeyRegistrationResponseObject, error) {
	credential, err := json.Marshal(request.Body.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	name := ""
	if request.Body.Name != nil {
		name = *request.Body.Name
	}
	added, err := s.auth.FinishPasskeyRegistration(ctx, stateOf(ctx).access, name, credential, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.FinishPasskeyRegistration200JSONResponse(toAPIPasskey(added)), nil
}

// RenamePasskey changes the name of a passkey.
func (s *Server) RenamePasskey(
	ctx context.Context, request api.RenamePasskeyRequestObject,
) (api.RenamePasskeyResponseObject, error) {
	renamed, err := s.auth.RenamePasskey(ctx, stateOf(ctx).access, request.PasskeyId, request.Body.Name)
	if err != nil {
		return nil, err
	}
	return api.RenamePasskey200JSONResponse(toAPIPasskey(renamed)), nil
}

// DeletePasskey removes a passkey.
func (s *Server) DeletePasskey(
	ctx context.Context, request api.DeletePasskeyRequestObject,
) (api.DeletePasskeyResponseObject, error) {
	if err := s.auth.DeletePasskey(ctx, stateOf(ctx).access, request.PasskeyId, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.DeletePasskey200JSONResponse{Message: "Passkey removed"}, nil
}

// StartPasskeyLogin returns the options for a browser that logs in with a passkey.
func (s *Server) StartPasskeyLogin(
	context.Context, api.StartPasskeyLoginRequestObject,
) (api.StartPasskeyLoginResponseObject, error) {
	options := s.auth.StartPasskeyLogin()
	return api.StartPasskeyLogin200JSONResponse{
		RpId: options.RelyingPartyID, Challenge: base64url(options.Challenge),
		Timeout:          int32(options.Timeout.Milliseconds()), //nolint:gosec // minutes
		AllowCredentials: []api.PasskeyDescriptor{}, UserVerification: required,
	}, nil
}

// FinishPasskeyLogin starts a session.
func (s *Server) FinishPasskeyLogin(
	ctx context.Context, request api.FinishPasskeyLoginRequestObject,
) (api.FinishPasskeyLoginResponseObject, error) {
	credential, err := json.Marshal(request.Body.Credential)
	if err != nil {
		return nil, fmt.Errorf("credential: %w", err)
	}
	tokens, err := s.auth.FinishPasskeyLogin(ctx, credential, stateOf(ctx).client)
	if errors.Is(err, passkey.ErrInvalid) {
		err = fmt.Errorf("%w: %w", errInvalidPasskeyLogin, err)
	}
	if err != nil {
		return nil, err
	}
	return api.FinishPasskeyLogin200JSONResponse(toAPITokens(tokens)), nil
}

func toAPIPasskey(passkey *auth.Passkey) api.Passkey {
	return api.Passkey{
		Id: passkey.ID.String(), Name: passkey.Name, CreatedAt: passkey.CreatedAt.UTC(),
		LastUsedAt: orNull(inUTC(passkey.LastUsedAt)),
	}
}

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
