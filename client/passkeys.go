package client

import (
	"context"
	"net/http"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// PasskeyCreationOptions are the options for a new passkey, in the JSON form that
// PublicKeyCredential.parseCreationOptionsFromJSON of a browser takes.
type PasskeyCreationOptions = gen.PasskeyCreationOptions

// PasskeyRegistration is a new passkey, in the JSON form that PublicKeyCredential.toJSON of a
// browser returns.
type PasskeyRegistration = gen.PasskeyRegistration

// PasskeyRequestOptions are the options for a login with a passkey, in the JSON form that
// PublicKeyCredential.parseRequestOptionsFromJSON of a browser takes.
type PasskeyRequestOptions = gen.PasskeyRequestOptions

// PasskeyAssertion is the answer of a passkey to the options for a login, in the JSON form that
// PublicKeyCredential.toJSON of a browser returns.
type PasskeyAssertion = gen.PasskeyAssertion

// Passkey is a passkey of the account.
type Passkey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
	// LastUsedAt is the last login with the passkey, or nil if there was none.
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

// Passkeys returns the passkeys of the account, the oldest first.
func (c *Client) Passkeys(ctx context.Context) ([]Passkey, error) {
	list, err := decode[struct {
		Passkeys []Passkey `json:"passkeys"`
	}](c.authorized.ListPasskeys(ctx))
	return list.Passkeys, err
}

// StartPasskeyRegistration returns the options for a new passkey. They are valid for five minutes.
//
// It needs a recent login, like FinishPasskeyRegistration and DeletePasskey: see [Config.OnStepUp].
// They return a *Problem with the code insufficient_user_authentication or email_not_verified.
// StartPasskeyRegistration also returns passkey_limit.
func (c *Client) StartPasskeyRegistration(ctx context.Context) (PasskeyCreationOptions, error) {
	return decode[PasskeyCreationOptions](c.authorized.StartPasskeyRegistration(ctx))
}

// FinishPasskeyRegistration adds the passkey that a browser created with the options of
// StartPasskeyRegistration. If name is empty, the server chooses one. It returns a *Problem with
// the code invalid_passkey, passkey_exists, passkey_limit or too_many_requests.
func (c *Client) FinishPasskeyRegistration(
	ctx context.Context, name string, credential PasskeyRegistration,
) (Passkey, error) {
	input := gen.FinishPasskeyRegistrationInput{Name: optional(name), Credential: credential}
	return decode[Passkey](c.authorized.FinishPasskeyRegistration(ctx, input))
}

// RenamePasskey changes the name of a passkey, and returns the passkey. It returns a *Problem with
// the code not_found or validation_failed.
func (c *Client) RenamePasskey(ctx context.Context, id, name string) (Passkey, error) {
	return decode[Passkey](c.authorized.RenamePasskey(ctx, id, gen.RenamePasskeyInput{Name: name}))
}

// DeletePasskey removes a passkey. It returns a *Problem with the code not_found,
// too_many_requests, or last_passkey if the account has no password and no other passkey.
func (c *Client) DeletePasskey(ctx context.Context, id string) error {
	_, err := decode[gen.Confirmation](c.authorized.DeletePasskey(ctx, id))
	return err
}

// StartPasskeyLogin returns the options for a login with a passkey. They are valid for five
// minutes.
func (c *Client) StartPasskeyLogin(ctx context.Context) (PasskeyRequestOptions, error) {
	return decode[PasskeyRequestOptions](c.anonymous.StartPasskeyLogin(ctx))
}

// FinishPasskeyLogin starts a session with the answer of a passkey to the options of
// StartPasskeyLogin, and stores its tokens. A second factor is not needed. Like Login, it replaces
// a session but does not revoke it. It returns a *Problem with the code invalid_passkey or
// too_many_requests.
func (c *Client) FinishPasskeyLogin(ctx context.Context, credential PasskeyAssertion) error {
	return c.startSession(ctx, func() (*http.Response, error) {
		return c.anonymous.FinishPasskeyLogin(ctx, gen.FinishPasskeyLoginInput{Credential: credential})
	})
}
