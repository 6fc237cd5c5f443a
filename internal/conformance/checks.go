package conformance

// check is one thing that a run checks.
type check struct {
	operation string // the operationId of what is checked; empty: the whole deployment
	name      string
	run       func(*suite)
	basic     bool // the first one; if it fails, checks that call the operation are skipped
}

// operations has the checks of each operation, in the order in which they run. The checks are in
// the file of the operation. The first one is basic: it requires the response that a run can expect
// in any case.
var operations = []struct {
	id     string
	checks []check
}{
	{"getJWKS", getJWKSChecks},
	{"getAuthorizationServerMetadata", getAuthorizationServerMetadataChecks},
	{"getOpenIDConfiguration", getOpenIDConfigurationChecks},
	{"register", registerChecks}, // the checks below use its account
	{"login", loginChecks},
	{"authenticate", authenticateChecks},
	{"refreshTokens", refreshTokensChecks},
	{"logout", logoutChecks},
	{"resetPassword", resetPasswordChecks},
	{"getAccount", getAccountChecks},
	{"updateAccount", updateAccountChecks},
	{"changePassword", changePasswordChecks},
	{"sendVerificationEmail", sendVerificationEmailChecks},
	{"verifyEmail", verifyEmailChecks},
	{"changeEmail", changeEmailChecks},
	{"cancelEmailChange", cancelEmailChangeChecks},
	{"confirmEmailChange", confirmEmailChangeChecks},
	{"undoEmailChange", undoEmailChangeChecks},
	{"checkEmailLink", checkEmailLinkChecks},
	{"listSessions", listSessionsChecks},
	{"revokeSession", revokeSessionChecks},
	{"logoutEverywhere", logoutEverywhereChecks},
	{"listFactors", listFactorsChecks},
	{"enrollTOTP", enrollTOTPChecks},
	{"confirmTOTP", confirmTOTPChecks},
	{"completeLogin", completeLoginChecks},
	{"reauthenticate", reauthenticateChecks},
	{"renewRecoveryCodes", renewRecoveryCodesChecks},
	{"removeTOTP", removeTOTPChecks},
	{"startPasskeyRegistration", startPasskeyRegistrationChecks},
	{"finishPasskeyRegistration", finishPasskeyRegistrationChecks}, // the checks below use its passkey
	{"listPasskeys", listPasskeysChecks},
	{"renamePasskey", renamePasskeyChecks},
	{"startPasskeyLogin", startPasskeyLoginChecks},
	{"finishPasskeyLogin", finishPasskeyLoginChecks},
	{"deletePasskey", deletePasskeyChecks},
	{"checkAccess", checkAccessChecks},
	{"exportAccount", exportAccountChecks},
	{"forgotPassword", forgotPasswordChecks}, // after all resets: its link replaces theirs, when it is emailed
	{"deleteAccount", deleteAccountChecks},   // the last: it removes the account of the run
}

// allChecks returns the checks of a run. The rate limits are the last, because they refuse logins.
func allChecks(contract *Contract) []check {
	checks := []check{
		{name: "OpenAPI document", run: checkServed},
		{name: "unknown path", run: checkUnknownPath},
	}
	documented := make(map[string]Operation)
	for _, operation := range contract.Operations() {
		documented[operation.ID] = operation
	}
	for _, operation := range operations {
		checks = append(checks, commonChecks(documented[operation.id])...)
		for i, one := range operation.checks {
			one.basic = i == 0
			checks = append(checks, one)
		}
	}
	return append(checks, check{operation: "login", name: "rate limits", run: checkLimits})
}
