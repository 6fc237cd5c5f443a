package main

// recentLogins protect changes of factors, and sessions that prove them.
var recentLogins = []guard{
	{
		what: "a factor is changed only after a recent login",
		file: "internal/auth/recent_login.go",
		code: `age >= recentLogin || `,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRecentLogin",
	},
	{
		what: "a login of a clock that was ahead is not recent",
		file: "internal/auth/recent_login.go",
		code: ` || age < -maxAhead`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRecentLoginAfterClockWasAhead",
	},
	{
		what: "a recent login has proved the factor that exists",
		file: "internal/auth/recent_login.go",
		code: ` || factor != nil && !access.Methods.TwoFactors()`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestOneFactorIsNotEnough",
	},
	{
		what: "a factor needs a verified email",
		file: "internal/auth/recent_login.go",
		code: `if s.config.EmailVerification != VerificationOff && !access.User.EmailVerified() {`,
		gone: `if s.config.EmailVerification == "x" && !access.User.EmailVerified() {`,
		pkg:  "internal/httpapi", run: "TestFactorsNeedAVerifiedEmail",
	},
	{
		what: "other sensitive operations need a recent login if there is a factor",
		file: "internal/auth/recent_login.go",
		code: `if err == nil && (factor != nil || !access.User.HasPassword()) {`,
		gone: `if err == nil && !access.User.HasPassword() {`,
		pkg:  "internal/httpapi", run: "TestRecentLogin",
	},
	{
		what: "an account without a password needs a recent login",
		file: "internal/auth/recent_login.go",
		code: `if err == nil && (factor != nil || !access.User.HasPassword()) {`,
		gone: `if err == nil && factor != nil {`,
		pkg:  "internal/httpapi", run: "TestAccountWithoutPassword",
	},
	{
		what: "enrolling replaces no active factor",
		file: "internal/auth/enroll_totp.go",
		code: `gorm.Expr("totp_factors.confirmed_at IS NULL")`,
		gone: `gorm.Expr("TRUE")`,
		pkg:  "internal/auth", run: "TestEnrollmentDuringConfirmation",
	},
	{
		what: "two confirmations of an app are one",
		file: "internal/auth/confirm_totp.go",
		code: `Where("user_id = ? AND sealed = ? AND confirmed_at IS NULL", user.ID, factor.Sealed)`,
		gone: `Where("user_id = ? AND sealed = ?", user.ID, factor.Sealed)`,
		pkg:  "internal/auth", run: "TestConfirmationDuringAnother",
	},
	{
		what: "removing the app removes the recovery codes",
		file: "internal/auth/remove_totp.go",
		code: `	if err := tx.Where("user_id = ?", user).Delete(&RecoveryCode{}).Error; err != nil {
		return false, false, err
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRemoveApp",
	},
	{
		what: "removing the app lowers the sessions",
		file: "internal/auth/remove_totp.go",
		code: `return true, true, lowerSessions(tx, user)`,
		gone: `return true, true, nil`,
		pkg:  "internal/httpapi", run: "TestRemoveApp",
	},
	{
		what: "a reset that verifies the email first removes planted factors",
		file: "internal/auth/reset_password.go",
		code: `	_, err := removeFactors(tx, user, time.Time{})
	return err`,
		gone: `	return nil`,
		pkg:  "internal/httpapi", run: "TestPlantedFactors",
	},
	{
		what: "a reset of a verified email keeps the factors",
		file: "internal/auth/reset_password.go",
		code: `if verify.Error != nil || verify.RowsAffected == 0 {`,
		gone: `if verify.Error != nil {`,
		pkg:  "internal/httpapi", run: "TestPlantedFactors|TestNoWayAroundTheFactor",
	},
	{
		what: "an undo removes later factors",
		file: "internal/auth/undo_email_change.go",
		code: `removeFactors(tx, user.ID, previous.ChangedAt)`,
		gone: `removeFactors(tx, user.ID, now.Add(undoLifetime))`,
		pkg:  "internal/httpapi", run: "TestUndoRemovesLaterFactors",
	},
	{
		what: "an undo keeps earlier factors",
		file: "internal/auth/remove_factors.go",
		code: `Where("user_id = ? AND created_at >= ?", user, since).Delete(&passkeys)`,
		gone: `Where("user_id = ? AND (created_at >= ? OR TRUE)", user, since).Delete(&passkeys)`,
		pkg:  "internal/httpapi", run: "TestUndoRemovesLaterFactors",
	},
	{
		what: "an undo removes recovery codes that were renewed later",
		file: "internal/auth/remove_factors.go",
		code: `	if err := tx.Where("user_id = ? AND created_at >= ?", user, since).Delete(&RecoveryCode{}).Error; err != nil {
		return removed, err
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestUndoRemovesLaterFactors",
	},
	{
		what: "reauthenticating asks for the code",
		file: "internal/auth/reauthenticate.go",
		code: `if err == nil && factor != nil && code == "" {`,
		gone: `if err == nil && factor != nil && code == "x" {`,
		pkg:  "internal/httpapi", run: "TestReauthenticate",
	},
	{
		what: "a session that has ended is not continued",
		file: "internal/auth/reauthenticate.go",
		code: `Where("id = ? AND revoked_at IS NULL", access.Session).
		Where("expires_at`,
		gone: `Where("id = ?", access.Session).
		Where("expires_at`,
		pkg: "internal/auth", run: "TestContinuedSessions",
	},
	{
		what: "a TOTP secret is sealed for one user",
		file: "internal/auth/second_factor.go",
		code: `return s.config.TOTPSealer.Seal(secret, user.String())`,
		gone: `return s.config.TOTPSealer.Seal(secret, "")`,
		pkg:  "internal/httpapi", run: "TestTOTPSecretIsSealed|TestLoginWithSecondFactor",
	},
	{
		what: "TOTP secrets are sealed again while the secret is rotated",
		file: "internal/auth/purge.go",
		code: `if err := s.resealTOTP(ctx); err != nil {`,
		gone: `if err := ctx.Err(); err != nil {`,
		pkg:  "internal/httpapi", run: "TestTOTPSecretsSurviveRotation",
	},
}
