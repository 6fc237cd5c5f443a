package client

import (
	"context"
	"time"

	gen "github.com/sesame-auth/sesame/gen/client"
)

// EmailLink describes an emailed link.
type EmailLink struct {
	// Purpose is the page that the link is for, such as verify-email. New ones may be added.
	Purpose   string    `json:"purpose"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// SendVerificationEmail requests an email with a link to verify the email. It also succeeds if no
// account has this email or it is verified already, so that it does not reveal who has one. A newer
// link replaces the older one.
func (c *Client) SendVerificationEmail(ctx context.Context, email string) error {
	_, err := decode[gen.Confirmation](
		c.anonymous.SendVerificationEmail(ctx, gen.SendVerificationEmailInput{Email: email}))
	return err
}

// VerifyEmail verifies the email of an account with the token from the emailed link and the
// password of the account. It needs no session. It returns a *Problem with the code invalid_link or
// incorrect_password; a wrong password does not use up the token.
func (c *Client) VerifyEmail(ctx context.Context, token, password string) error {
	input := gen.ConfirmEmailInput{Token: token, Password: password}
	_, err := decode[gen.Confirmation](c.anonymous.VerifyEmail(ctx, input))
	return err
}

// ChangeEmail sends a link to the new email. Nothing changes until ConfirmEmailChange. It also
// succeeds if the new email has an account already. The password is empty if the account has none.
// It returns a *Problem with the code incorrect_password, validation_failed or too_many_requests.
func (c *Client) ChangeEmail(ctx context.Context, email, password string) error {
	input := gen.ChangeEmailInput{Email: email, Password: optional(password)}
	_, err := decode[gen.Confirmation](c.authorized.ChangeEmail(ctx, input))
	return err
}

// CancelEmailChange makes the link of ChangeEmail invalid. It also succeeds if no change is
// pending.
func (c *Client) CancelEmailChange(ctx context.Context) error {
	_, err := decode[gen.Confirmation](c.authorized.CancelEmailChange(ctx))
	return err
}

// ConfirmEmailChange changes the email of an account with the token from the emailed link and the
// password of the account. It needs no session. It returns a *Problem with the code invalid_link or
// incorrect_password; a wrong password does not use up the token.
func (c *Client) ConfirmEmailChange(ctx context.Context, token, password string) error {
	input := gen.ConfirmEmailInput{Token: token, Password: password}
	_, err := decode[gen.Confirmation](c.anonymous.ConfirmEmailChange(ctx, input))
	return err
}

// UndoEmailChange restores the previous email of an account with the token from the link that it
// was sent. All sessions of the account end and its password stops working; the restored email gets
// a link to set a new one. It needs no session. It returns a *Problem with the code invalid_link.
func (c *Client) UndoEmailChange(ctx context.Context, token string) error {
	_, err := decode[gen.Confirmation](c.anonymous.UndoEmailChange(ctx, gen.EmailLinkInput{Token: token}))
	return err
}

// CheckEmailLink reports what the token of an emailed link is for. It does not use up the token. It
// returns a *Problem with the code invalid_link if the token is unknown, used or expired.
func (c *Client) CheckEmailLink(ctx context.Context, token string) (EmailLink, error) {
	return decode[EmailLink](c.anonymous.CheckEmailLink(ctx, gen.EmailLinkInput{Token: token}))
}
