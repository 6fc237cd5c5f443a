package main

// passkeys protect passkeys.
var passkeys = []guard{
	{
		what: "a passkey checks the user",
		file: "internal/passkey/passkey.go",
		code: `UserVerification: protocol.VerificationRequired,`,
		gone: `UserVerification: protocol.VerificationPreferred,`,
		pkg:  "internal/httpapi", run: "TestPasskeyRegistrationRefuses|TestPasskeyLoginRefuses",
	},
	{
		what: "the challenge of a new passkey is our own",
		file: "internal/passkey/passkey.go",
		code: `	if err := isOwn(challenge); err != nil {
		return nil, err
	}
	session := r.session(challenge)`,
		gone: `	session := r.session(challenge)`,
		pkg:  "internal/httpapi", run: "TestPasskeyRegistrationRefuses",
	},
	{
		what: "the challenge of a passkey login is our own",
		file: "internal/passkey/passkey.go",
		code: `	if err := isOwn(challenge); err != nil {
		return nil, false, err
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestPasskeyLoginRefuses",
	},
	{
		what: "a challenge for a passkey belongs to one session",
		file: "internal/auth/passkey_registration.go",
		code: `access.User.ID, access.Session, access.User.Generation)`,
		gone: `access.User.ID, access.User.ID, access.User.Generation)`,
		pkg:  "internal/httpapi", run: "TestPasskeyRegistrationRefuses",
	},
	{
		what: "a challenge for a passkey belongs to one user",
		file: "internal/auth/passkey_registration.go",
		code: `access.User.ID, access.Session, access.User.Generation)`,
		gone: `"", "", access.User.Generation)`,
		pkg:  "internal/httpapi", run: "TestPasskeyRegistrationRefuses",
	},
	{
		what: "a challenge for a passkey belongs to one ceremony",
		file: "internal/auth/passkey_login.go",
		code: `const passkeyLoginPurpose = "passkey login"`,
		gone: `const passkeyLoginPurpose = loginPurpose`,
		pkg:  "internal/httpapi", run: "TestLoginTokenIsNoChallenge",
	},
	{
		what: "a challenge of a passkey works once",
		file: "internal/auth/passkey.go",
		code: `	if err == nil && !used {`,
		gone: `	if err == nil && !used && len(c.raw) == 0 {`,
		pkg:  "internal/httpapi", run: "TestPasskeyAnswerWorksOnce",
	},
	{
		what: "a disabled user does not log in with a passkey",
		file: "internal/auth/passkey_login.go",
		code: `Where("users.id = ? AND users.disabled_at IS NULL", stored.UserID))`,
		gone: `Where("users.id = ?", stored.UserID))`,
		pkg:  "internal/httpapi", run: "TestPasskeyOfUnverifiedUser",
	},
	{
		what: "an unverified user does not log in with a passkey",
		file: "internal/auth/passkey_login.go",
		code: `if s.config.EmailVerification == VerificationRequired && !user.EmailVerified() {`,
		gone: `if s.config.EmailVerification == "x" && !user.EmailVerified() {`,
		pkg:  "internal/httpapi", run: "TestPasskeyOfUnverifiedUser",
	},
	{
		what: "a count that goes back refuses a key that is not synchronized",
		file: "internal/auth/passkey_login.go",
		code: `if !login.stored.BackupEligible {`,
		gone: `if login.stored.Name == "" {`,
		pkg:  "internal/httpapi", run: "TestPasskeyCountGoesBack",
	},
	{
		what: "logins with passkeys are limited",
		file: "internal/auth/passkey_login.go",
		code: `throttle.Charge{Limit: passkeyLoginsPerNetwork}.PerNetwork(client.IP)...)`,
		gone: `)`,
		pkg:  "internal/httpapi", run: "TestPasskeyLoginsAreLimited",
	},
	{
		what: "a successful login with a passkey is refunded",
		file: "internal/auth/passkey_login.go",
		code: `		refund: login.refund,
`,
		gone: `		refund: func(*gorm.DB) error { return nil },
`,
		pkg: "internal/httpapi", run: "TestPasskeyLoginsAreLimited",
	},
	{
		what: "a passkey of another user is out of reach",
		file: "internal/auth/delete_passkey.go",
		code: `tx.Where("id = ? AND user_id = ?", passkeyID(id), user.ID).Delete(&Passkey{})`,
		gone: `tx.Where("id = ?", passkeyID(id)).Delete(&Passkey{})`,
		pkg:  "internal/httpapi", run: "TestPasskeysOfOthers",
	},
	{
		what: "a passkey of another user is not renamed",
		file: "internal/auth/rename_passkey.go",
		code: `Where("id = ? AND user_id = ?", passkeyID(id), access.User.ID)`,
		gone: `Where("id = ?", passkeyID(id))`,
		pkg:  "internal/httpapi", run: "TestPasskeysOfOthers",
	},
	{
		what: "the number of passkeys is limited",
		file: "internal/auth/passkey_registration.go",
		code: `if err == nil && len(existing) > maxPasskeys {`,
		gone: `if err == nil && len(existing) > 100*maxPasskeys {`,
		pkg:  "internal/httpapi", run: "TestPasskeysOfOthers",
	},
	{
		what: "the last passkey of an account without a password stays",
		file: "internal/auth/delete_passkey.go",
		code: `			if err == nil && len(left) == 0 {
				err = ErrLastPasskey
			}`,
		gone: `			_ = left`,
		pkg:  "internal/httpapi", run: "TestAccountWithoutPassword",
	},
	{
		what: "two removals at the same time keep the last passkey",
		file: "internal/auth/delete_passkey.go",
		code: `		if err := lockGeneration(tx, user); err != nil { // so that two of them`,
		gone: `		if err := holdGeneration(tx, user); err != nil { // so that two of them`,
		pkg:  "internal/httpapi", run: "TestRemovingTheLastPasskeys",
	},
	{
		what: "removing a passkey lowers its sessions",
		file: "internal/auth/delete_passkey.go",
		code: `if err := lowerPasskeySessions(tx, user.ID, passkeyID(id)); err != nil {`,
		gone: `if err := tx.Error; err != nil {`,
		pkg:  "internal/httpapi", run: "TestPasskeys",
	},
	{
		what: "a change of a factor stops if the user has changed meanwhile",
		file: "internal/auth/change_email.go",
		code: `Where("id = ? AND email = ? AND generation = ?", user.ID, user.Email, user.Generation).Pluck("id", &ids)`,
		gone: `Where("id = ? AND email = ? AND generation >= ?", user.ID, user.Email, 0*user.Generation).Pluck("id", &ids)`,
		pkg:  "internal/auth", run: "TestNothingIsDoneIfTheUserChangedMeanwhile",
	},
}
