package mail

import "fmt"

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
