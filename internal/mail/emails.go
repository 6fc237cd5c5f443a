package mail

import (
	"errors"
	"time"

	"github.com/sesame-auth/sesame/internal/brand"
)

// Data is the data of an email. No email contains text that a user chose: anyone can register an
// account with someone else's email, and its name could be a scam that the service then sends to
// them.
type Data struct {
	To       string        // the email address, as stored
	Link     string        // the complete http or https URL, including the token if there is one
	ValidFor time.Duration // of the link, at least a second; 0: the email has no token
	When     time.Time     // of what the email reports; shown in UTC
	Brand    brand.Brand

	CodesLeft int // unused recovery codes; only for RecoveryCodeUsed
}

const ignore = "If you did not request this, you can ignore this email."

// ResetPassword returns the email with a link to reset the password. This and the other functions
// return an error if the link or its lifetime cannot be shown. The error does not contain the link.
func ResetPassword(data Data) (Message, error) {
	return data.renderLink(content{
		Subject: "Reset your " + data.Brand.Name + " password",
		Heading: "Reset your password",
		Before: []string{
			"We received a request to reset the password of your " + data.Brand.Name + " account. " +
				"Use the link to choose a new password.",
		},
		Button: "Reset password",
		After:  []string{ignore + " Your password stays the same."},
	})
}

// VerifyEmail returns the email with a link to verify the email.
func VerifyEmail(data Data) (Message, error) {
	return data.renderLink(content{
		Subject: "Verify your email for " + data.Brand.Name,
		Heading: "Verify your email",
		Before: []string{
			"Someone, probably you, registered an account at " + data.Brand.Name + " with this email. " +
				"Use the link to verify that this email is yours. We will ask for the password of the account.",
		},
		Button: "Verify email",
		After:  []string{"If you did not register, you can ignore this email."},
	})
}

// ConfirmEmailChange returns the email with a link that makes this email that of an account.
func ConfirmEmailChange(data Data) (Message, error) {
	return data.renderLink(content{
		Subject: "Confirm your new email for " + data.Brand.Name,
		Heading: "Confirm your new email",
		Before: []string{
			"We received a request to use this email for an account at " + data.Brand.Name + ". " +
				"Use the link to confirm the change. We will ask for the password of the account.",
		},
		Button: "Confirm email",
		After:  []string{ignore + " Nothing changes."},
	})
}

// EmailInUse returns the email to the owner of an account, after someone else tried to use the
// email for another one. The link leads to the page to reset the password.
func EmailInUse(data Data) (Message, error) {
	return data.render(content{
		Subject: "You already have an account at " + data.Brand.Name,
		Heading: "You already have an account",
		Before: []string{
			"On " + data.when() + ", someone tried to use this email for another account at " + data.Brand.Name + ". " +
				"This email already has an account. Nothing has changed.",
			"If this was you, log in with this email. If you forgot the password, reset it.",
		},
		Button: "Reset password",
		After:  []string{"If this was not you, you can ignore this email."},
	})
}

// EmailChangeRequested returns the notice to the current email that a change was requested.
func EmailChangeRequested(data Data) (Message, error) {
	return data.render(content{
		Subject: "Your " + data.Brand.Name + " email is about to change",
		Heading: "A new email was requested",
		Before: []string{
			"On " + data.when() + ", someone requested a new email for your " + data.Brand.Name + " account. " +
				"The email changes when the new one is confirmed.",
			"If this was you, there is nothing else to do here.",
			"If this was not you, reset your password now. This also cancels the change.",
		},
		Button: "Reset password",
	})
}

// EmailChanged returns the notice to the previous email that the email of the account was changed,
// with a link that undoes the change.
func EmailChanged(data Data) (Message, error) {
	c := data.emailChanged()
	c.Before = append(c.Before, "If this was not you, use the link to restore this email. "+
		"This also logs out all devices. Then we send you a link to set a new password.")
	c.Button = "Undo the change"
	return data.renderLink(c)
}

// EmailChangedForGood is like EmailChanged, without a link: the previous email was never verified,
// or the change was itself an undo.
func EmailChangedForGood(data Data) (Message, error) {
	c := data.emailChanged()
	c.Before = append(c.Before, "If this was not you, contact "+data.Brand.Name+".")
	return data.render(c)
}

func (d Data) emailChanged() content {
	return content{
		Subject: "Your " + d.Brand.Name + " email was changed",
		Heading: "Your email was changed",
		Before: []string{
			"On " + d.when() + ", the email of your " + d.Brand.Name + " account was changed. " +
				"The account does not use this email any more.",
			"If this was you, there is nothing else to do.",
		},
	}
}

// PasswordChanged returns the email that reports a changed password. It says what to do if someone
// else changed it. The link leads to the page to reset the password.
func PasswordChanged(data Data) (Message, error) {
	return data.render(content{
		Subject: "Your " + data.Brand.Name + " password was changed",
		Heading: "Your password was changed",
		Before: []string{
			"The password of your " + data.Brand.Name + " account was changed on " + data.when() +
				". All other devices have been logged out.",
			"If this was you, there is nothing else to do.",
			"If this was not you, reset your password now.",
		},
		Button: "Reset password",
		After: []string{
			"Then change the password of your email account too, because someone else may be able to read your email.",
		},
	})
}

// NewLogin returns the email that reports a login from a network that was not seen before. The link
// leads to the page to reset the password.
func NewLogin(data Data) (Message, error) {
	return data.render(content{
		Subject: "New login to your " + data.Brand.Name + " account",
		Heading: "New login",
		Before: []string{
			"Someone logged in to your " + data.Brand.Name + " account on " + data.when() +
				", from a network that you have not used before.",
			"If this was you, there is nothing else to do.",
			"If this was not you, reset your password now. This also logs out all devices.",
		},
		Button: "Reset password",
	})
}

// AccountDeleted returns the last email to a user.
func AccountDeleted(data Data) (Message, error) {
	return data.render(content{
		Subject: "Your " + data.Brand.Name + " account was deleted",
		Heading: "Your account was deleted",
		Before: []string{
			"Your " + data.Brand.Name + " account was deleted on " + data.when() + ".",
			"If this was you, there is nothing else to do.",
			"If this was not you, contact " + data.Brand.Name + ".",
		},
	})
}

// renderLink renders an email with a one-time link.
func (d Data) renderLink(c content) (Message, error) {
	if d.ValidFor < time.Second {
		return Message{}, errors.New("the lifetime of a link must be at least a second")
	}
	c.After = append([]string{"The link works once and expires in " + inWords(d.ValidFor) + "."}, c.After...)
	return d.render(c)
}

func (d Data) render(c content) (Message, error) {
	c.Link, c.Brand = d.Link, d.Brand
	return render(d.To, c)
}

func (d Data) when() string { return d.When.UTC().Format("2 January 2006 at 15:04 UTC") }
