package httpapi

import (
	"context"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"

	"github.com/sesame-auth/sesame/internal/auth"
)

// bearerAuth implements the security scheme BearerAuth.
type bearerAuth struct{ auth *auth.Service }

// authenticate finds the user and the session that the access token belongs to (RFC 6750, section 2.1). It accepts
// one token, in the header only.
func (b bearerAuth) authenticate(ctx context.Context, input *openapi3filter.AuthenticationInput) error {
	headers := input.RequestValidationInput.Request.Header.Values("Authorization")
	if len(headers) == 0 {
		return errNoToken
	}
	scheme, accessToken, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.ErrInvalidAccessToken
	}
	access, err := b.auth.Authenticate(ctx, strings.Trim(accessToken, " "))
	if err != nil {
		return err
	}
	stateOf(ctx).access = access
	return nil
}
