package client

import (
	"context"
	"net/http"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// Account is the account of the user.
type Account struct {
	// ID does not change with the email.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Bio is nil if there is none.
	Bio           *string `json:"bio"`
	Email         string  `json:"email"`
	EmailVerified bool    `json:"emailVerified"`
	// PendingEmail is the email of a ChangeEmail that is not confirmed yet, or nil.
	PendingEmail *string   `json:"pendingEmail"`
	CreatedAt    time.Time `json:"createdAt"`
}

// AccountChange is the input of [Client.UpdateAccount]. The zero value changes nothing.
type AccountChange struct {
	// Name is the new name, or nil to keep the name.
	Name *string
	// Bio is the new bio, or nil to keep the bio.
	Bio *string
	// RemoveBio removes the bio. Bio is then ignored.
	RemoveBio bool
}

// AccountExport is everything that the server stores about the user, without secrets.
type AccountExport struct {
	Account Account `json:"account"`
	// UpdatedAt is when the profile or the password last changed.
	UpdatedAt time.Time `json:"updatedAt"`
	// LastLoginAt is nil if there was no login.
	LastLoginAt *time.Time `json:"lastLoginAt"`
	// PreviousEmails are emails to which the change of the email can still be undone.
	PreviousEmails []PreviousEmail `json:"previousEmails"`
	// Factors are the second factors, without their secrets.
	Factors []Factor `json:"factors"`
	// RecoveryCodesLeft is the number of unused recovery codes.
	RecoveryCodesLeft int               `json:"recoveryCodesLeft"`
	Passkeys          []ExportedPasskey `json:"passkeys"`
	// Sessions are all stored sessions, also those that have ended.
	Sessions []ExportedSession `json:"sessions"`
	// Networks are the networks that are known for the user.
	Networks []ExportedNetwork `json:"networks"`
	// Events are the newest events in the audit log, the newest first, at most 1,000.
	Events []ExportedEvent `json:"events"`
	// EventsTruncated reports whether there are more events.
	EventsTruncated bool `json:"eventsTruncated"`
}

// PreviousEmail is an email to which a change can be undone until UndoUntil.
type PreviousEmail struct {
	Email     string    `json:"email"`
	UndoUntil time.Time `json:"undoUntil"`
}

// ExportedPasskey is a stored passkey.
type ExportedPasskey struct {
	Passkey
	// CredentialID is the id that the authenticator gave it, in base64url.
	CredentialID string `json:"credentialId"`
	// Model is the model of the authenticator (AAGUID). It is zeros if it is not known.
	Model string `json:"model"`
	// BackedUp reports whether the passkey is synchronized between devices.
	BackedUp bool `json:"backedUp"`
}

// ExportedSession is a stored session.
type ExportedSession struct {
	ID         string    `json:"id"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
	// AuthTime is when the user last proved the identity, and AMR is how (RFC 8176).
	AuthTime  time.Time `json:"authTime"`
	AMR       []string  `json:"amr"`
	ExpiresAt time.Time `json:"expiresAt"`
	// RevokedAt is nil if the session was not revoked.
	RevokedAt *time.Time `json:"revokedAt"`
	IP        string     `json:"ip"`
	LastIP    string     `json:"lastIp"`
	UserAgent string     `json:"userAgent"`
}

// ExportedNetwork is the last login from a network. The server does not know its IP addresses.
type ExportedNetwork struct {
	LastLoginAt time.Time `json:"lastLoginAt"`
}

// ExportedEvent is an event in the audit log.
type ExportedEvent struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Kind      string    `json:"kind"`
	Outcome   string    `json:"outcome"`
	SessionID string    `json:"sessionId"`
	Email     string    `json:"email"`
	IP        string    `json:"ip"`
	UserAgent string    `json:"userAgent"`
	RequestID string    `json:"requestId"`
	Detail    string    `json:"detail"`
}

// Account returns the account of the user. Without a session, it returns a *Problem with the code
// invalid_access_token, like every method that needs one.
func (c *Client) Account(ctx context.Context) (Account, error) {
	return decode[Account](c.authorized.GetAccount(ctx))
}

// UpdateAccount changes the name and the bio, and returns the account. It returns a *Problem with
// the code validation_failed if a value is too long or the name is empty.
func (c *Client) UpdateAccount(ctx context.Context, change AccountChange) (Account, error) {
	input := gen.UpdateAccountInput{Name: change.Name}
	switch {
	case change.RemoveBio:
		input.Bio.SetNull()
	case change.Bio != nil:
		input.Bio.Set(*change.Bio)
	}
	return decode[Account](c.authorized.UpdateAccount(ctx, input))
}

// ChangePassword sets a new password for a user who knows the current one. This session continues
// with new tokens, and all others end. It returns a *Problem with the code incorrect_password,
// weak_password, validation_failed or too_many_requests.
//
// If the account has a second factor or no password, it needs a recent login, like ChangeEmail and
// DeleteAccount: see [Config.OnStepUp]. The code is then insufficient_user_authentication. current
// is empty if the account has no password.
//
// It continues after ctx is done, for up to 30 seconds, because the new tokens must be stored.
func (c *Client) ChangePassword(ctx context.Context, current, password string) error {
	return c.replaceSession(ctx, func(ctx context.Context, authorize gen.RequestEditorFn) (Tokens, error) {
		return c.requestTokens(func() (*http.Response, error) {
			input := gen.ChangePasswordInput{CurrentPassword: optional(current), Password: password}
			return c.anonymous.ChangePassword(ctx, input, authorize)
		})
	})
}

// DeleteAccount deletes the account and everything that belongs to it, for good. It deletes the
// tokens, too. The password is empty if the account has none. It returns a *Problem with the code
// incorrect_password or too_many_requests.
func (c *Client) DeleteAccount(ctx context.Context, password string) error {
	return c.replaceSession(ctx, func(ctx context.Context, authorize gen.RequestEditorFn) (Tokens, error) {
		input := gen.DeleteAccountInput{Password: optional(password)}
		_, err := decode[gen.Confirmation](c.anonymous.DeleteAccount(ctx, input, authorize))
		return Tokens{}, err
	})
}

// ExportAccount returns everything that the server stores about the user. It returns a *Problem
// with the code too_many_requests if it is called too often.
func (c *Client) ExportAccount(ctx context.Context) (AccountExport, error) {
	return decode[AccountExport](c.authorized.ExportAccount(ctx))
}
