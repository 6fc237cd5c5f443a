package httpapi

import (
	"context"

	"github.com/sesame-auth/sesame/gen/api"
	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/totp"
)

// ListFactors returns the second factors of the user.
func (s *Server) ListFactors(
	ctx context.Context, _ api.ListFactorsRequestObject,
) (api.ListFactorsResponseObject, error) {
	factors, err := s.auth.Factors(ctx, stateOf(ctx).access.User.ID)
	if err != nil {
		return nil, err
	}
	return api.ListFactors200JSONResponse{
		Factors:           toAPIFactors(factors),
		RecoveryCodesLeft: int32(factors.RecoveryCodesLeft), //nolint:gosec // ten at most
	}, nil
}

func toAPIFactors(factors *auth.Factors) []api.Factor {
	list := []api.Factor{}
	if app := factors.TOTP; app != nil {
		list = append(list, api.Factor{
			Type: api.FactorTypeTotp, CreatedAt: app.ConfirmedAt.UTC(), LastUsedAt: totp.Time(app.LastStep),
		})
	}
	return list
}

// EnrollTOTP returns a new secret for an authenticator app.
func (s *Server) EnrollTOTP(ctx context.Context, _ api.EnrollTOTPRequestObject) (api.EnrollTOTPResponseObject, error) {
	secret, uri, err := s.auth.EnrollTOTP(ctx, stateOf(ctx).access)
	if err != nil {
		return nil, err
	}
	return api.EnrollTOTP200JSONResponse{Secret: secret.String(), Uri: uri}, nil
}

// ConfirmTOTP adds the authenticator app.
func (s *Server) ConfirmTOTP(
	ctx context.Context, request api.ConfirmTOTPRequestObject,
) (api.ConfirmTOTPResponseObject, error) {
	codes, err := s.auth.ConfirmTOTP(ctx, stateOf(ctx).access, request.Body.Code, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.ConfirmTOTP200JSONResponse{RecoveryCodes: codes}, nil
}

// RemoveTOTP removes the authenticator app.
func (s *Server) RemoveTOTP(ctx context.Context, _ api.RemoveTOTPRequestObject) (api.RemoveTOTPResponseObject, error) {
	if err := s.auth.RemoveTOTP(ctx, stateOf(ctx).access, stateOf(ctx).client); err != nil {
		return nil, err
	}
	return api.RemoveTOTP200JSONResponse{Message: "Authenticator app removed"}, nil
}

// RenewRecoveryCodes replaces the recovery codes.
func (s *Server) RenewRecoveryCodes(
	ctx context.Context, _ api.RenewRecoveryCodesRequestObject,
) (api.RenewRecoveryCodesResponseObject, error) {
	codes, err := s.auth.RenewRecoveryCodes(ctx, stateOf(ctx).access, stateOf(ctx).client)
	if err != nil {
		return nil, err
	}
	return api.RenewRecoveryCodes200JSONResponse{RecoveryCodes: codes}, nil
}
