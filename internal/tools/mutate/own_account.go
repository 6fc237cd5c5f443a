package main

// ownAccount has the guards of what users do with their password, sessions and account.
var ownAccount = []guard{
	{
		what: "HEAD needs the access token of GET",
		file: "internal/httpapi/validate.go",
		code: `	if method == http.MethodHead {
		method = http.MethodGet
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestHeadNeedsAToken",
	},
	{
		what: "changing the password continues only a session that has not ended",
		file: "internal/auth/change_password.go",
		code: `Where("id = ? AND revoked_at IS NULL", id)`,
		gone: `Where("id = ?", id)`,
		pkg:  "internal/auth", run: "TestMoveSession",
	},
	{
		what: "changing the password continues only a session of the previous generation",
		file: "internal/auth/change_password.go",
		code: `users.generation = sessions.generation + 1)`,
		gone: `users.generation > sessions.generation)`,
		pkg:  "internal/auth", run: "TestMoveSession",
	},
	{
		what: "the next token of a changed password has the previous one as its parent",
		file: "internal/auth/change_password.go",
		code: `moveSession(tx, access.Session, s.nextToken(now, client))`,
		gone: `moveSession(tx, access.Session, map[string]any{})`,
		pkg:  "internal/httpapi", run: "TestChangePassword|TestModelOfSessions",
	},
	{
		what: "changes of the password are limited",
		file: "internal/auth/change_password.go",
		code: `Limit: passwordChangesPerAccount,`,
		gone: `Limit: linkEmailsToAccount,`,
		pkg:  "internal/httpapi", run: "TestLimitOfPasswordChanges",
	},
	{
		what: "a user ends no session of somebody else",
		file: "internal/auth/revoke_session.go",
		code: `Where("sessions.id = ? AND users.id = ?", session, access.User.ID)`,
		gone: `Where("sessions.id = ?", session)`,
		pkg:  "internal/httpapi", run: "TestRevokeSession",
	},
	{
		what: "the id of a session has one spelling",
		file: "internal/auth/revoke_session.go",
		code: ` || session.String() != id`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestRevokeSession",
	},
	{
		what: "logging out everywhere ends the current session, too",
		file: "internal/auth/logout_everywhere.go",
		code: `		if keepCurrent {
			if _, err := moveSession`,
		gone: `		if true {
			if _, err := moveSession`,
		pkg: "internal/httpapi", run: "TestLogoutEverywhere",
	},
	{
		what: "the events of a deleted user are blanked",
		file: "internal/auth/delete_user.go",
		code: `return &user, audit.Forget(tx, user.ID, user.Email)`,
		gone: `return &user, nil`,
		pkg:  "internal/httpapi", run: "TestDeleteAccount",
	},
	{
		what: "so are those of the email before it had an account",
		file: "internal/audit/audit.go",
		code: `"user_id = ? OR email = ? AND user_id = ?", user, email, uuid.Nil`,
		gone: `"user_id = ?", user`,
		pkg:  "internal/httpapi", run: "TestDeleteAccount",
	},
	{
		what: "an event that comes after the deletion is blank",
		file: "internal/auth/audit.go",
		code: `if event.UserID != uuid.Nil && !exists {`,
		gone: `if event.UserID == uuid.Nil && !exists {`,
		pkg:  "internal/auth", run: "TestEventOfADeletedUser",
	},
	{
		what: "emails to a deleted user are deleted",
		file: "internal/auth/delete_user.go",
		code: `	if err := s.config.Outbox.Forget(tx, user.ID, user.Email); err != nil {
		return nil, err
	}
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestDeleteAccount",
	},
	{
		what: "an export has only the events of the user",
		file: "internal/auth/export_account.go",
		code: `db.Where(ofUser).Order("at DESC, id DESC")`,
		gone: `db.Where("email = ?", access.User.Email).Order("at DESC, id DESC")`,
		pkg:  "internal/httpapi", run: "TestExportedEvents",
	},
	{
		what: "a purge leaves rows that were just made current",
		file: "internal/database/purge.go",
		code: `DELETE FROM %[1]s WHERE %[3]s <= ? AND %[2]s IN`,
		gone: `DELETE FROM %[1]s WHERE (%[3]s <= ? OR TRUE) AND %[2]s IN`,
		pkg:  "internal/throttle", run: "TestPurgeDuringAnAttempt",
	},
	{
		what: "a purge leaves the valid sessions between the expired ones",
		file: "internal/auth/purge.go",
		code: `inBatch := expired(db).Where(`,
		gone: `inBatch := db.Where(`,
		pkg:  "internal/auth", run: "TestPurge",
	},
	{
		what: "a budget that another instance has spent is believed",
		file: "internal/throttle/gcra.go",
		code: `g.interval+maxAhead {`,
		gone: `g.interval {`,
		pkg:  "internal/throttle", run: "TestClocksOfInstances",
	},
	{
		what: "a refresh tries again after its session was moved",
		file: "internal/auth/refresh_tokens.go",
		code: `		if err != nil || outcome != missed {`,
		gone: `		if true {`,
		pkg:  "internal/auth", run: "TestRefreshOfSessionBeingMoved",
	},
}
