package httpapi

import (
	"context"
	"fmt"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/signing"
)

// Server satisfies the interface generated from the contract. Requests reach it validated; what it refuses
// it returns as an error of the domain.
type Server struct {
	auth      *auth.Service
	keys      *signing.Keyring
	publicURL string
}

var _ api.StrictServerInterface = (*Server)(nil)

// jwksCaching is how long a JWK Set, or what leads to it, may be kept.
var jwksCaching = fmt.Sprintf("public, max-age=%d", int(signing.JWKSMaxAge.Seconds()))

// Authenticate greets the bearer, whom the contract's security scheme has authenticated.
func (s *Server) Authenticate(ctx context.Context, _ api.AuthenticateRequestObject) (api.AuthenticateResponseObject, error) {
	user := stateOf(ctx).user
	message := "Welcome, " + user.Name
	return api.Authenticate200JSONResponse{Message: &message, User: new(toAPIUser(user))}, nil
}

// Register makes an account.
func (s *Server) Register(ctx context.Context, request api.RegisterRequestObject) (api.RegisterResponseObject, error) {
	user, err := s.auth.Register(ctx, auth.Registration{
		Name: request.Body.Name, Bio: request.Body.Bio, Email: request.Body.Email, Password: request.Body.Password,
	}, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.Register201JSONResponse{Message: "User registered successfully", User: toAPIUser(user)}, nil
}

// Login opens a session.
func (s *Server) Login(ctx context.Context, request api.LoginRequestObject) (api.LoginResponseObject, error) {
	tokens, err := s.auth.Login(ctx, request.Body.Email, request.Body.Password, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.Login200JSONResponse(toAPITokens(tokens)), nil
}

// RefreshTokens trades a refresh token.
func (s *Server) RefreshTokens(ctx context.Context, request api.RefreshTokensRequestObject) (api.RefreshTokensResponseObject, error) {
	tokens, err := s.auth.RefreshTokens(ctx, request.Body.RefreshToken, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.RefreshTokens200JSONResponse(toAPITokens(tokens)), nil
}

// Logout ends a session.
func (s *Server) Logout(ctx context.Context, request api.LogoutRequestObject) (api.LogoutResponseObject, error) {
	if err := s.auth.Logout(ctx, request.Body.RefreshToken, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.Logout200JSONResponse{Message: "Logout successful"}, nil
}

// ForgotPassword has a reset link mailed.
func (s *Server) ForgotPassword(ctx context.Context, request api.ForgotPasswordRequestObject) (api.ForgotPasswordResponseObject, error) {
	if err := s.auth.ForgotPassword(ctx, request.Body.Email, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.ForgotPassword202JSONResponse{Message: "If the address has an account, a link to reset its password is on its way"}, nil
}

// ResetPassword sets a new password.
func (s *Server) ResetPassword(ctx context.Context, request api.ResetPasswordRequestObject) (api.ResetPasswordResponseObject, error) {
	if err := s.auth.ResetPassword(ctx, request.Params.Token, request.Body.Password, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.ResetPassword200JSONResponse{Message: "Password reset successful"}, nil
}

// GetJWKS tells the public keys.
func (s *Server) GetJWKS(context.Context, api.GetJWKSRequestObject) (api.GetJWKSResponseObject, error) {
	set := api.JWKSet{Keys: []api.JWK{}}
	for _, key := range s.keys.JWKs() {
		set.Keys = append(set.Keys, toAPIJWK(key))
	}
	headers := api.GetJWKS200ResponseHeaders{CacheControl: jwksCaching, AccessControlAllowOrigin: api.AnyOriginAsterisk}
	return api.GetJWKS200JSONResponse{Body: set, Headers: headers}, nil
}

// GetAuthorizationServerMetadata tells frameworks where the keys are.
func (s *Server) GetAuthorizationServerMetadata(context.Context, api.GetAuthorizationServerMetadataRequestObject) (api.GetAuthorizationServerMetadataResponseObject, error) {
	return api.GetAuthorizationServerMetadata200JSONResponse{MetadataJSONResponse: s.metadata()}, nil
}

// GetOpenIDConfiguration tells the same where they look for it.
func (s *Server) GetOpenIDConfiguration(context.Context, api.GetOpenIDConfigurationRequestObject) (api.GetOpenIDConfigurationResponseObject, error) {
	return api.GetOpenIDConfiguration200JSONResponse{MetadataJSONResponse: s.metadata()}, nil
}

// metadata is RFC 8414's, section 2, with nothing in it that is not true of this server. Section 3.2 would have empty
// lists left out; but one of these is required, and the other's absence stands for two grants.
func (s *Server) metadata() api.MetadataJSONResponse {
	return api.MetadataJSONResponse{
		Body: api.ServerMetadata{
			Issuer: s.publicURL, JwksUri: s.publicURL + "/.well-known/jwks.json",
			ResponseTypesSupported: []api.ResponseType{}, GrantTypesSupported: []api.GrantType{},
		},
		Headers: api.MetadataResponseHeaders{CacheControl: jwksCaching, AccessControlAllowOrigin: api.AnyOriginAsterisk},
	}
}

func toAPIUser(user *auth.User) api.User {
	return api.User{Name: user.Name, Bio: user.Bio, Email: user.Email}
}

func toAPITokens(tokens *auth.Tokens) api.Tokens {
	return api.Tokens{
		AccessToken: tokens.Access, RefreshToken: tokens.Refresh,
		TokenType: api.TokenTypeBearer, ExpiresIn: int64(tokens.ExpiresIn.Seconds()),
	}
}

func toAPIJWK(key signing.JWK) api.JWK {
	described := api.JWK{
		Kty: api.KeyType(key.Kty), Crv: api.Curve(key.Crv), X: key.X,
		Use: api.KeyUseSig, Alg: api.SigningAlgorithm(key.Alg), Kid: key.Kid,
	}
	if key.Y != "" {
		described.Y = &key.Y
	}
	return described
}
