package main

// codes protect the codes of second factors.
var codes = []guard{
	{
		what: "a login by password asks for the second factor",
		file: "internal/auth/login.go",
		code: `		if user.SecondFactor {`,
		gone: `		if user.SecondFactor && len(rehash) > 1000 {`,
		pkg:  "internal/httpapi", run: "TestLoginWithSecondFactor",
	},
	{
		what: "no session is stored without the second factor",
		file: "internal/auth/start_session.go",
		code: `			AND (? OR NOT ` + "`" + `+hasSecondFactor+` + "`" + `)` + "`" + `,`,
		gone: `			AND (? OR TRUE OR NOT ` + "`" + `+hasSecondFactor+` + "`" + `)` + "`" + `,`,
		pkg:  "internal/auth", run: "TestNoSessionWithoutTheFactor",
	},
	{
		what: "a factor that is not confirmed is none",
		file: "internal/auth/second_factor.go",
		code: `totp_factors.user_id = users.id AND totp_factors.confirmed_at IS NOT NULL)` + "`" + ``,
		gone: `totp_factors.user_id = users.id)` + "`" + ``,
		pkg:  "internal/auth", run: "TestNoSessionWithoutTheFactor",
	},
	{
		what: "a code of an app works once",
		file: "internal/auth/second_factor.go",
		code: `changes := map[string]any{"last_step": step, "failures": 0}`,
		gone: `changes := map[string]any{"last_step": 0 * step, "failures": 0}`,
		pkg:  "internal/httpapi", run: "TestCodeWorksOnce",
	},
	{
		what: "a code of an app works once in parallel",
		file: "internal/auth/second_factor.go",
		code: `Where("user_id = ? AND created_at = ? AND last_step = ? AND confirmed_at IS NOT NULL",`,
		gone: `Where("user_id = ? AND created_at = ? AND (last_step = ? OR TRUE) AND confirmed_at IS NOT NULL",`,
		pkg:  "internal/httpapi", run: "TestCodeWorksOnce",
	},
	{
		what: "the code that confirmed an app is used up",
		file: "internal/auth/confirm_totp.go",
		code: `"last_step": step, "failures": 0})`,
		gone: `"last_step": 0 * step, "failures": 0})`,
		pkg:  "internal/httpapi", run: "TestConfirmUsesUpTheCode",
	},
	{
		what: "a code older than the last one does not work",
		file: "internal/totp/totp.go",
		code: `if equal && candidate > last {`,
		gone: `if equal && candidate != last {`,
		pkg:  "internal/totp", run: "TestMatch",
	},
	{
		what: "of two steps with the same code, the newer one is used up",
		file: "internal/totp/totp.go",
		code: `for candidate := now - drift; candidate <= now+drift; candidate++ {`,
		gone: `for candidate := now + drift; candidate >= now-drift; candidate-- {`,
		pkg:  "internal/totp", run: "TestMatchOfEqualCodes",
	},
	{
		what: "a step that was stored while a clock was ahead is ignored",
		file: "internal/totp/totp.go",
		code: `	if last > now+drift {`,
		gone: `	if last > now+1000*drift {`,
		pkg:  "internal/totp", run: "TestMatch",
	},
	{
		what: "a recovery code works once",
		file: "internal/auth/recovery_code.go",
		code: `	if used.Error == nil && used.RowsAffected == 0 {
		return ErrInvalidCode
	}
	if used.Error != nil {`,
		gone: `	if used.Error != nil {`,
		pkg:  "internal/httpapi", run: "TestCodeWorksOnce|TestRecoveryCodes",
	},
	{
		what: "a recovery code belongs to one user",
		file: "internal/auth/recovery_code.go",
		code: `digest := sha256.Sum256(append(user[:], plain...))`,
		gone: `digest := sha256.Sum256([]byte(plain))`,
		pkg:  "internal/auth", run: "TestRecoveryCodeDigest",
	},
	{
		what: "new recovery codes replace the old ones",
		file: "internal/auth/recovery_code.go",
		code: `	if err := tx.Where("user_id = ?", user).Delete(&RecoveryCode{}).Error; err != nil {
		return nil, err
	}
	var codes`,
		gone: `	var codes`,
		pkg:  "internal/httpapi", run: "TestRecoveryCodes",
	},
	{
		what: "after 100 wrong codes only recovery codes work",
		file: "internal/auth/second_factor.go",
		code: `	if a.factor.Failures > maxFailures {
		return ErrInvalidCode
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestOnlyRecoveryCodesAfterManyFailures",
	},
	{
		what: "an attempt with a code counts before it is checked",
		file: "internal/auth/second_factor.go",
		code: `UpdateColumn("failures", gorm.Expr("failures + 1"))`,
		gone: `UpdateColumn("failures", gorm.Expr("failures + 0"))`,
		pkg:  "internal/httpapi", run: "TestOnlyRecoveryCodesAfterManyFailures",
	},
	{
		what: "a reset makes codes work again",
		file: "internal/auth/set_password.go",
		code: `if err := clearFailures(tx, user.ID); err != nil { // before`,
		gone: `if err := tx.Error; err != nil { // before`,
		pkg:  "internal/httpapi", run: "TestOnlyRecoveryCodesAfterManyFailures",
	},
	{
		what: "codes are limited from all unknown networks together",
		file: "internal/auth/second_factor.go",
		code: `charge := throttle.Charge{Limit: codesPerAccount, Subject: user.ID.String()}`,
		gone: `charge := throttle.Charge{Limit: codesPerAccount, Subject: user.ID.String() + event.IP}`,
		pkg:  "internal/httpapi", run: "TestLimitOfCodes",
	},
	{
		what: "codes in a known network have a budget of their own",
		file: "internal/auth/second_factor.go",
		code: `	if known != nil {
		charge =`,
		gone: `	if known != nil && event.IP == "" {
		charge =`,
		pkg: "internal/httpapi", run: "TestLimitOfCodes",
	},
	{
		what: "the fifth wrong code emails the owner",
		file: "internal/auth/second_factor.go",
		code: `if a.factor.Failures%noticeAfter == 0 {`,
		gone: `if a.factor.Failures%noticeAfter == -1 {`,
		pkg:  "internal/httpapi", run: "TestLimitOfCodes",
	},
	{
		what: "a new password lifts the limits on codes in known networks",
		file: "internal/auth/limits.go",
		code: `loginsPerKnownNetwork, codesPerKnownNetwork} {`,
		gone: `loginsPerKnownNetwork} {`,
		pkg:  "internal/httpapi", run: "TestLimitOfCodesInAKnownNetwork",
	},
	{
		what: "a new password lifts the limits on codes elsewhere",
		file: "internal/auth/limits.go",
		code: `return s.throttle.Clear(tx, codesPerAccount, user.ID.String())`,
		gone: `return nil`,
		pkg:  "internal/httpapi", run: "TestLimitOfCodesInAKnownNetwork",
	},
	{
		what: "a whole login refunds both steps",
		file: "internal/auth/complete_login.go",
		code: `return s.throttle.Refund(tx, login.Receipt)`,
		gone: `return nil`,
		pkg:  "internal/httpapi", run: "TestHalfALoginIsNotRefunded",
	},
	{
		what: "a login token works once",
		file: "internal/auth/complete_login.go",
		code: `			if err == nil && !used {
				err = ErrInvalidLoginToken
			}
			return err`,
		gone: `			_ = used
			return err`,
		pkg: "internal/httpapi", run: "TestCodeWorksOnce",
	},
	{
		what: "a used login token is refused without checking the code",
		file: "internal/auth/complete_login.go",
		code: `.
		Where("NOT EXISTS (SELECT 1 FROM used_challenges WHERE digest = ?)", token.ChallengeDigest(challenge)))`,
		gone: `)
	_ = token.ChallengeDigest(challenge)`,
		pkg: "internal/httpapi", run: "TestLoginWithSecondFactor",
	},
	{
		what: "a new password makes a login token invalid",
		file: "internal/auth/complete_login.go",
		code: `users.id = ? AND users.generation = ? AND users.disabled_at`,
		gone: `users.id = ? AND users.generation >= ? AND users.disabled_at`,
		pkg:  "internal/httpapi", run: "TestLoginTokenEnds",
	},
	{
		what: "a challenge expires",
		file: "internal/token/challenge.go",
		code: `!now.Before(expires) || `,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLoginTokenEnds|TestPasskeyLoginRefuses",
	},
	{
		what: "a challenge of a clock that was ahead is refused",
		file: "internal/token/challenge.go",
		code: ` || expires.After(now.Add(ChallengeLifetime+maxAhead))`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLoginTokenEnds",
	},
	{
		what: "a login token has one spelling",
		file: "internal/token/challenge.go",
		code: ` || base64url.EncodeToString(challenge) != text`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLoginTokenEnds",
	},
	{
		what: "an outdated hash is replaced in the first step of a login",
		file: "internal/auth/complete_login.go",
		code: `		if rehash != "" {`,
		gone: `		if rehash == "x" {`,
		pkg:  "internal/httpapi", run: "TestImportedTOTP",
	},
}
