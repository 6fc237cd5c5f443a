package httpapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/oapi-codegen/nullable"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/signing"
)

// Server implements the interface generated from the OpenAPI document. It gets validated requests
// and returns the errors of package auth, which middleware.writeError turns into problem documents.
type Server struct {
	auth      *auth.Service
	keys      *signing.Keyring
	publicURL string
}

// anyOrigin lets pages of every origin read a response.
const anyOrigin = "*"

var _ api.StrictServerInterface = (*Server)(nil)

// jwksCaching is how long the keys and the metadata may be cached.
var jwksCaching = fmt.Sprintf("public, max-age=%d", int(signing.JWKSMaxAge.Seconds()))

// Authenticate returns the user and the session that bearerAuth found.
func (s *Server) Authenticate(
	ctx context.Context, _ api.AuthenticateRequestObject,
) (api.AuthenticateResponseObject, error) {
	access := stateOf(ctx).access
	return api.Authenticate200JSONResponse{
		Message: new("Welcome, " + access.User.Name), User: new(toAPIUser(access.User)),
		UserId: new(access.User.ID.String()), SessionId: new(access.Session.String()),
		EmailVerified: new(access.User.EmailVerified()),
	}, nil
}

// Register creates an account.
func (s *Server) Register(ctx context.Context, request api.RegisterRequestObject) (api.RegisterResponseObject, error) {
	user, err := s.auth.Register(ctx, auth.Registration{
		Name:     request.Body.Name,
		Bio:      optional(request.Body.Bio),
		Email:    request.Body.Email,
		Password: request.Body.Password,
	}, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.Register201JSONResponse{Message: "User registered successfully", User: toAPIUser(user)}, nil
}

// Login starts a session.
func (s *Server) Login(ctx context.Context, request api.LoginRequestObject) (api.LoginResponseObject, error) {
	tokens, err := s.auth.Login(ctx, request.Body.Email, request.Body.Password, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.Login200JSONResponse(toAPITokens(tokens)), nil
}

// CompleteLogin starts the session of a login with a second factor.
func (s *Server) CompleteLogin(
	ctx context.Context, request api.CompleteLoginRequestObject,
) (api.CompleteLoginResponseObject, error) {
	tokens, err := s.auth.CompleteLogin(ctx, request.Body.LoginToken, request.Body.Code, stateOf(ctx).client)
	if errors.Is(err, auth.ErrInvalidCode) {
		err = fmt.Errorf("%w: %w", errInvalidLoginCode, err)
	}
	if err != nil {
		return nil, err
	}
	return api.CompleteLogin200JSONResponse(toAPITokens(tokens)), nil
}

// RefreshTokens exchanges a refresh token.
func (s *Server) RefreshTokens(
	ctx context.Context, request api.RefreshTokensRequestObject,
) (api.RefreshTokensResponseObject, error) {
	tokens, err := s.auth.RefreshTokens(ctx, request.Body.RefreshToken, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.RefreshTokens200JSONResponse(toAPITokens(tokens)), nil
}

// Logout revokes a session.
func (s *Server) Logout(ctx context.Context, request api.LogoutRequestObject) (api.LogoutResponseObject, error) {
	if err := s.auth.Logout(ctx, request.Body.RefreshToken, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.Logout200JSONResponse{Message: "Logout successful"}, nil
}

// ForgotPassword sends a reset link by email.
func (s *Server) ForgotPassword(
	ctx context.Context, request api.ForgotPasswordRequestObject,
) (api.ForgotPasswordResponseObject, error) {
	if err := s.auth.ForgotPassword(ctx, request.Body.Email, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.ForgotPassword202JSONResponse{
		Message: "If the email has an account, we have sent it a link to reset the password",
	}, nil
}

// ResetPassword sets a new password.
func (s *Server) ResetPassword(
	ctx context.Context, request api.ResetPasswordRequestObject,
) (api.ResetPasswordResponseObject, error) {
	if err := s.auth.ResetPassword(ctx, request.Params.Token, request.Body.Password, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.ResetPassword200JSONResponse{Message: "Password reset successful"}, nil
}

// GetJWKS returns the public keys.
func (s *Server) GetJWKS(context.Context, api.GetJWKSRequestObject) (api.GetJWKSResponseObject, error) {
	set := api.JWKSet{Keys: []api.JWK{}}
	for _, key := range s.keys.JWKs() {
		set.Keys = append(set.Keys, toAPIJWK(key))
	}
	headers := api.GetJWKS200ResponseHeaders{CacheControl: jwksCaching, AccessControlAllowOrigin: anyOrigin}
	return api.GetJWKS200JSONResponse{Body: set, Headers: headers}, nil
}

// GetAuthorizationServerMetadata returns the issuer, the URL of the keys and their algorithms.
func (s *Server) GetAuthorizationServerMetadata(
	context.Context, api.GetAuthorizationServerMetadataRequestObject,
) (api.GetAuthorizationServerMetadataResponseObject, error) {
	return api.GetAuthorizationServerMetadata200JSONResponse{MetadataJSONResponse: s.metadata()}, nil
}

// GetOpenIDConfiguration returns the same at the path of OpenID Connect.
func (s *Server) GetOpenIDConfiguration(
	context.Context, api.GetOpenIDConfigurationRequestObject,
) (api.GetOpenIDConfigurationResponseObject, error) {
	return api.GetOpenIDConfiguration200JSONResponse{MetadataJSONResponse: s.metadata()}, nil
}

// metadata returns the metadata of this server (RFC 8414, section 2). Section 3.2 says to omit
// empty lists, but one of these two is required, and omitting the other would mean that two grant
// types are supported. The algorithms are all that the server can sign with, not only the
// configured one: some libraries read the list once, and the operator may change the algorithm.
func (s *Server) metadata() api.MetadataJSONResponse {
	algorithms := make([]string, len(signing.Algorithms))
	for i, algorithm := range signing.Algorithms {
		algorithms[i] = string(algorithm)
	}
	return api.MetadataJSONResponse{
		Body: api.ServerMetadata{
			Issuer: s.publicURL, JwksUri: s.publicURL + "/.well-known/jwks.json",
			IdTokenSigningAlgValuesSupported: algorithms,
			ResponseTypesSupported:           []string{}, GrantTypesSupported: []string{},
		},
		Headers: api.MetadataResponseHeaders{CacheControl: jwksCaching, AccessControlAllowOrigin: anyOrigin},
	}
}

func toAPIUser(user *auth.User) api.User {
	return api.User{Name: user.Name, Bio: orNull(user.Bio), Email: user.Email}
}

// orNull returns a property that is null, rather than absent, if there is no value.
func orNull[T any](value *T) nullable.Nullable[T] {
	if value == nil {
		return nullable.NewNullNullable[T]()
	}
	return nullable.NewNullableWithValue(*value)
}

// optional returns the value of a property that may be absent or null, or nil.
func optional(value nullable.Nullable[string]) *string {
	text, err := value.Get()
	if err != nil { // absent or null
		return nil
	}
	return &text
}

func toAPITokens(tokens *auth.Tokens) api.Tokens {
	return api.Tokens{
		AccessToken: tokens.Access, RefreshToken: tokens.Refresh,
		TokenType: "Bearer", ExpiresIn: int32(tokens.ExpiresIn.Seconds()),
	}
}

func toAPIJWK(key signing.JWK) api.JWK {
	described := api.JWK{Kty: key.Kty, Crv: key.Crv, X: key.X, Use: "sig", Alg: key.Alg, Kid: key.Kid}
	if key.Y != "" {
		described.Y = &key.Y
	}
	return described
}
