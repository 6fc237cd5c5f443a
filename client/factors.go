package client

import (
	"context"
	"net/http"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// Factor is a second factor of the account.
type Factor struct {
	Type      FactorType `json:"type"`
	CreatedAt time.Time  `json:"createdAt"`
	// LastUsedAt is the time of the code that was last accepted.
	LastUsedAt time.Time `json:"lastUsedAt"`
}

// Factors are the second factors of the account.
type Factors struct {
	// Factors is empty if a login needs only the password.
	Factors []Factor `json:"factors"`
	// RecoveryCodesLeft is the number of unused recovery codes.
	RecoveryCodesLeft int `json:"recoveryCodesLeft"`
}

// TOTPSecret is a secret for an authenticator app. Show URI as a QR code, and Secret for typing.
type TOTPSecret struct {
	Secret string `json:"secret"`
	URI    string `json:"uri"`
}

// CompleteLogin continues a Login that returned ProblemCodeSecondFactorRequired, with the
// LoginToken of that problem and a code of the authenticator app or a recovery code. It starts a
// session and stores its tokens. It returns a *Problem with the code invalid_code, after which it
// can be called again, invalid_login_token, after which the login starts again, or
// too_many_requests.
func (c *Client) CompleteLogin(ctx context.Context, loginToken, code string) error {
	return c.startSession(ctx, func() (*http.Response, error) {
		return c.anonymous.CompleteLogin(ctx, gen.CompleteLoginInput{LoginToken: loginToken, Code: code})
	})
}

// Reauthenticate proves the identity of the logged-in user again. This session continues with new
// tokens, which are those of a recent login. code is a code of the authenticator app or a recovery
// code, and empty if the account has no second factor. It returns a *Problem with the code
// incorrect_password, invalid_code, validation_failed or too_many_requests.
//
// An account without a password logs in with a passkey instead: see FinishPasskeyLogin.
//
// It continues after ctx is done, for up to 30 seconds, because the new tokens must be stored.
func (c *Client) Reauthenticate(ctx context.Context, password, code string) error {
	return c.replaceSession(ctx, func(ctx context.Context, authorize gen.RequestEditorFn) (Tokens, error) {
		return c.requestTokens(func() (*http.Response, error) {
			input := gen.ReauthenticateInput{Password: optional(password), Code: optional(code)}
			return c.anonymous.Reauthenticate(ctx, input, authorize)
		})
	})
}

// Factors returns the second factors of the account.
func (c *Client) Factors(ctx context.Context) (Factors, error) {
	return decode[Factors](c.authorized.ListFactors(ctx))
}

// EnrollTOTP returns a new secret for an authenticator app. Nothing changes until ConfirmTOTP.
//
// It needs a recent login, like ConfirmTOTP, RemoveTOTP and RenewRecoveryCodes: see
// [Config.OnStepUp]. They return a *Problem with the code insufficient_user_authentication or
// email_not_verified. EnrollTOTP also returns factor_exists.
func (c *Client) EnrollTOTP(ctx context.Context) (TOTPSecret, error) {
	return decode[TOTPSecret](c.authorized.EnrollTOTP(ctx))
}

// ConfirmTOTP makes the secret of EnrollTOTP the second factor of the account, with the current
// code of the app. It returns the recovery codes: show them to the user, because they cannot be
// read again. It returns a *Problem with the code invalid_code, not_found if there is no secret,
// factor_exists or too_many_requests.
//
// It also refreshes the tokens, because the session now has two factors.
func (c *Client) ConfirmTOTP(ctx context.Context, code string) (recoveryCodes []string, err error) {
	codes, err := decode[gen.RecoveryCodes](c.authorized.ConfirmTOTP(ctx, gen.ConfirmTOTPInput{Code: code}))
	if err != nil {
		return nil, err
	}
	if tokens, err := c.store.Load(ctx); err == nil && tokens.RefreshToken != "" {
		_, _ = c.refresh(ctx, tokens) // best effort
	}
	return codes.RecoveryCodes, nil
}

// RemoveTOTP removes the authenticator app and the recovery codes. It returns a *Problem with the
// code not_found if there is none.
func (c *Client) RemoveTOTP(ctx context.Context) error {
	_, err := decode[gen.Confirmation](c.authorized.RemoveTOTP(ctx))
	return err
}

// RenewRecoveryCodes replaces the recovery codes. The previous ones stop working. It returns a
// *Problem with the code not_found if the account has no second factor.
func (c *Client) RenewRecoveryCodes(ctx context.Context) (recoveryCodes []string, err error) {
	codes, err := decode[gen.RecoveryCodes](c.authorized.RenewRecoveryCodes(ctx))
	return codes.RecoveryCodes, err
}

// optional returns nil for an empty text.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
