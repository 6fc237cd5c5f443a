package main

// emails has the guards of emails.
var emails = []guard{
	{
		what: "the certificate of the mail server is verified",
		file: "internal/mail/smtpconn.go",
		code: `MinVersion: tls.VersionTLS12`,
		gone: `MinVersion: tls.VersionTLS12, InsecureSkipVerify: true`,
		pkg:  "internal/mail", run: "TestSMTPRefusesBadCertificates|TestReadRoots",
	},
	{
		what: "TLS to the mail server is 1.2 or newer",
		file: "internal/mail/smtpconn.go",
		code: `tls.VersionTLS12`,
		gone: `tls.VersionTLS10`,
		pkg:  "internal/mail", run: "TestSMTPRefusesOldTLS",
	},
	{
		what: "nothing is sent if STARTTLS is not offered",
		file: "internal/mail/smtpconn.go",
		code: `return fmt.Errorf("%w: the server does not offer STARTTLS; nothing was sent", ErrUnavailable)`,
		gone: `return nil`,
		pkg:  "internal/mail", run: "TestSMTPNeedsStartTLS",
	},
	{
		what: "one worker claims an email",
		file: "internal/mail/lease.go",
		code: ` AND attempts = ? AND due_at = ?", entry.ID, entry.Attempts, entry.DueAt)`,
		gone: `", entry.ID)`,
		pkg:  "internal/mail", run: "TestClaimOnce|TestClaimOfAnOldRead",
	},
	{
		what: "an email is taken over only without heartbeats",
		file: "internal/mail/lease.go",
		code: `now.at.Sub(before.at) >= lease`,
		gone: `o.now().Sub(entry.DueAt) >= lease`,
		pkg:  "internal/mail", run: "TestLeaseDoesNotDependOnClocks",
	},
	{
		what: "a message that the server may have accepted is not sent again at once",
		file: "internal/mail/smtp.go",
		code: `		err = c.transfer(ctx, m.To, raw)
`,
		gone: `		if err = c.transfer(ctx, m.To, raw); err != nil && !errors.Is(err, ErrRejected) {
			c, err = s.begin(ctx, m.To)
			if err == nil {
				err = c.transfer(ctx, m.To, raw)
			}
		}
`,
		pkg: "internal/mail", run: "TestSMTPDoesNotRepeatMessages",
	},
	{
		what: "an email that is given up is recorded",
		file: "internal/mail/deadletters.go",
		code: `return audit.Record(tx, o.event(entry, audit.GiveUpEmail, audit.Failure, shortened(reason)))`,
		gone: `return nil`,
		pkg:  "internal/mail", run: "TestGivenUp",
	},
	{
		what: "emails contain no text of users",
		file: "internal/auth/forgot_password.go",
		code: `	return s.composeLink(ctx, entry, mail.ResetPassword, PurposeResetPassword, lifetime,`,
		gone: `	render := func(data mail.Data) (mail.Message, error) {
		message, err := mail.ResetPassword(data)
		message.Text += user.Name
		return message, err
	}
	return s.composeLink(ctx, entry, render, PurposeResetPassword, lifetime,`,
		pkg: "internal/server", run: "TestEmailsContainNoUserText",
	},
}
