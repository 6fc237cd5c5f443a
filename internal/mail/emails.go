package mail

import (
	"errors"
	"fmt"
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

// FactorAdded returns the email that reports a new authenticator app. The link leads to the page to
// reset the password.
func FactorAdded(data Data) (Message, error) {
	return data.render(content{
		Subject: "Two-step login is on for your " + data.Brand.Name + " account",
		Heading: "Authenticator app added",
		Before: []string{
			"On " + data.when() + ", an authenticator app was added to your " + data.Brand.Name + " account. " +
				"From now on, a login asks for a code of this app.",
			"If this was you, keep your recovery codes in a safe place.",
			notYou,
		},
		Button: "Reset password",
		After:  []string{"Then contact " + data.Brand.Name + ": a new password does not remove the app."},
	})
}

// FactorRemoved returns the email that reports that the authenticator app was removed.
func FactorRemoved(data Data) (Message, error) {
	return data.render(content{
		Subject: "Two-step login is off for your " + data.Brand.Name + " account",
		Heading: "Authenticator app removed",
		Before: []string{
			"On " + data.when() + ", the authenticator app was removed from your " + data.Brand.Name + " account. " +
				"A login needs only the password now.",
			"If this was you, there is nothing else to do.",
			notYou,
		},
		Button: "Reset password",
	})
}

// RecoveryCodeUsed returns the email that reports a login with a recovery code.
func RecoveryCodeUsed(data Data) (Message, error) {
	left := fmt.Sprintf("You have %d recovery codes left.", data.CodesLeft)
	switch data.CodesLeft {
	case 0:
		left = "It was the last one. Log in and create new recovery codes."
	case 1:
		left = "You have 1 recovery code left. Log in and create new ones."
	}
	return data.render(content{
		Subject: "A recovery code was used for your " + data.Brand.Name + " account",
		Heading: "Recovery code used",
		Before: []string{
			"On " + data.when() + ", one of your recovery codes was used to log in to your " + data.Brand.Name +
				" account. " + left,
			"If this was you, there is nothing else to do.",
			notYou,
		},
		Button: "Reset password",
	})
}

// RecoveryCodesRenewed returns the email that reports new recovery codes.
func RecoveryCodesRenewed(data Data) (Message, error) {
	return data.render(content{
		Subject: "New recovery codes for your " + data.Brand.Name + " account",
		Heading: "New recovery codes",
		Before: []string{
			"On " + data.when() + ", new recovery codes were created for your " + data.Brand.Name + " account. " +
				"The previous ones do not work any more.",
			"If this was you, there is nothing else to do.",
			notYou,
		},
		Button: "Reset password",
	})
}

// WrongCodes returns the email that reports several wrong codes after the right password.
func WrongCodes(data Data) (Message, error) {
	return data.render(content{
		Subject: "Someone may know your " + data.Brand.Name + " password",
		Heading: "Several wrong codes",
		Before: []string{
			"Someone entered the right password of your " + data.Brand.Name + " account and then several wrong codes, " +
				"the last one on " + data.when() + ". They could not log in.",
			"If this was you, check that the time of your phone is right, or use a recovery code.",
			"If this was not you, someone else knows your password. Reset it now.",
		},
		Button: "Reset password",
	})
}

// PasskeyAdded returns the email that reports a new passkey.
func PasskeyAdded(data Data) (Message, error) {
	return data.render(content{
		Subject: "New passkey for your " + data.Brand.Name + " account",
		Heading: "Passkey added",
		Before: []string{
			"On " + data.when() + ", a passkey was added to your " + data.Brand.Name + " account. " +
				"It can be used to log in without a password.",
			"If this was you, there is nothing else to do.",
			notYou,
		},
		Button: "Reset password",
		After:  []string{"Then log in and remove the passkey: a new password does not remove it."},
	})
}

// PasskeyRemoved returns the email that reports that a passkey was removed.
func PasskeyRemoved(data Data) (Message, error) {
	return data.render(content{
		Subject: "A passkey was removed from your " + data.Brand.Name + " account",
		Heading: "Passkey removed",
		Before: []string{
			"On " + data.when() + ", a passkey was removed from your " + data.Brand.Name + " account. " +
				"It cannot be used to log in any more.",
			"If this was you, there is nothing else to do.",
			notYou,
		},
		Button: "Reset password",
	})
}

const notYou = "If this was not you, reset your password now. This also logs out all devices."

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
