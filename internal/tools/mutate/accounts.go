package main

// accounts has the guards of registrations, and of the emails that they and logins cause.
var accounts = []guard{
	{
		what: "an unverified email does not log in if it has to be verified",
		file: "internal/auth/login.go",
		code: `case s.config.EmailVerification == VerificationRequired && !user.EmailVerified():`,
		gone: `case s.config.EmailVerification == VerificationOff && !user.EmailVerified():`,
		pkg:  "internal/httpapi", run: "TestVerificationRequired",
	},
	{
		what: "the right password of an unverified email costs no attempt",
		file: "internal/auth/login.go",
		code: `cmp.Or(s.db.Transaction(ctx, reservation.Refund), ErrEmailNotVerified)`,
		gone: `cmp.Or(nil, ErrEmailNotVerified)`,
		pkg:  "internal/httpapi", run: "TestVerificationRequired",
	},
	{
		what: "a private registration does not reveal an account",
		file: "internal/auth/register.go",
		code: `	if inserted {
`,
		gone: `	if !inserted {
		return ErrEmailTaken
	}
	if inserted {
`,
		pkg: "internal/httpapi", run: "TestPrivateRegistration",
	},
	{
		what: "an email has one account",
		file: "internal/auth/create_user.go",
		code: `EXISTS (SELECT 1 FROM users WHERE id = ?)`,
		gone: `EXISTS (SELECT 1 FROM users) OR ? = ''`,
		pkg:  "internal/httpapi", run: "TestRegistrationsRace",
	},
	{
		what: "the login after a private registration does not reveal an account",
		file: "internal/auth/login.go",
		code: `if s.config.Registration != RegistrationPrivate {
		if`,
		gone: `if unverified || s.config.Registration != RegistrationPrivate {
		if`,
		pkg: "internal/httpapi", run: "TestPrivateRegistration",
	},
	{
		what: "a wrong password sends no link",
		file: "internal/auth/login.go",
		code: `	if unverified {
		email = verifyEmailEmail`,
		gone: `	if unverified || email == noEmail {
		email = verifyEmailEmail`,
		pkg: "internal/httpapi", run: "TestPrivateRegistration",
	},
	{
		what: "a closed registration creates no account",
		file: "internal/auth/register.go",
		code: `if s.config.Registration == RegistrationClosed {`,
		gone: `if s.config.Registration == "" {`,
		pkg:  "internal/httpapi", run: "TestRegistrationClosed",
	},
	{
		what: "without verification no link is sent",
		file: "internal/auth/send_verification_email.go",
		code: `user.EmailVerified() ||
		s.config.EmailVerification == VerificationOff {`,
		gone: `user.EmailVerified() {`,
		pkg:  "internal/httpapi", run: "TestVerificationOff",
	},
	{
		what: "an account requests a limited number of changes of the email",
		file: "internal/auth/change_email.go",
		code: `	charges := append(linkEmailCharges(confirmEmailChangeEmail, email, client.IP, false),
		throttle.Charge{Limit: emailChangesPerAccount, Subject: user.ID.String()})
`,
		gone: `	charges := append([]throttle.Charge{}, linkEmailCharges(confirmEmailChangeEmail, email, client.IP, false)...)
`,
		pkg: "internal/httpapi", run: "TestLimitOfEmailChanges",
	},
	{
		what: "a mailbox gets a limited number of links to confirm a change",
		file: "internal/auth/change_email.go",
		code: `linkEmailCharges(confirmEmailChangeEmail, email, client.IP, false)`,
		gone: `linkEmailCharges(confirmEmailChangeEmail, user.Email, client.IP, false)`,
		pkg:  "internal/httpapi", run: "TestLimitOfEmailChangesToAMailbox",
	},
	{
		what: "each kind of link has its own budget",
		file: "internal/auth/limits.go",
		code: `	mailbox := string(kind) + " " + withoutTag(email)
`,
		gone: `	mailbox := withoutTag(email)
`,
		pkg: "internal/httpapi", run: "TestLimitOfPrivateRegistrations",
	},
	{
		what: "a limit after the password costs no attempt",
		file: "internal/auth/limits.go",
		code: `if throttled || errors.Is(err, password.ErrBusy) {`,
		gone: `if throttled && errors.Is(err, password.ErrBusy) {`,
		pkg:  "internal/httpapi", run: "TestLimitOfEmailChanges",
	},
	{
		what: "invalid links are limited",
		file: "internal/auth/reset_password.go",
		code: `s.reserve(ctx, event, throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(event.IP)...)`,
		gone: `s.reserve(ctx, event)`,
		pkg:  "internal/httpapi", run: "TestLimitOfInvalidLinks",
	},
	{
		what: "a login from a known network sends no email",
		file: "internal/auth/start_session.go",
		code: `if !s.config.NewLoginEmails || login.known || user.LastLoginAt == nil {`,
		gone: `if !s.config.NewLoginEmails || user.LastLoginAt == nil {`,
		pkg:  "internal/httpapi", run: "TestNewLoginEmails",
	},
	{
		what: "the first login sends no email",
		file: "internal/auth/start_session.go",
		code: `if !s.config.NewLoginEmails || login.known || user.LastLoginAt == nil {`,
		gone: `if !s.config.NewLoginEmails || login.known {`,
		pkg:  "internal/httpapi", run: "TestNewLoginEmails",
	},
	{
		what: "a login with an email that the user no longer has creates no session",
		file: "internal/auth/start_session.go",
		code: `password_hash = ? AND email = ? AND disabled_at IS NULL
			AND (? OR`,
		gone: `password_hash = ? AND (email = ? OR TRUE) AND disabled_at IS NULL
			AND (? OR`,
		pkg: "internal/auth", run: "TestNoSessionIfTheUserChangedMeanwhile",
	},
	{
		what: "a network is not remembered for an email that the user no longer has",
		file: "internal/auth/known_network.go",
		code: `SELECT ?, id, ? FROM users WHERE id = ? AND email = ?`,
		gone: `SELECT ?, id, ? FROM users WHERE id = ? AND (email = ? OR TRUE)`,
		pkg:  "internal/auth", run: "TestNetworkOfAnEmailThatChangedMeanwhile",
	},
}
