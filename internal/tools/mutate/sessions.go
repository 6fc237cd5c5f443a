package main

// sessions has the guards of sessions and one-time tokens.
var sessions = []guard{
	{
		what: "a login stores nothing if the user changed meanwhile",
		file: "internal/auth/login.go",
		code: `if err := database.Require(tx, "EXISTS (SELECT 1 FROM sessions WHERE id = ?)", session.ID); err != nil {`,
		gone: `if err := tx.Error; err != nil {`,
		pkg:  "internal/auth", run: "TestNoSessionIfTheUserChangedMeanwhile",
	},
	{
		what: "a replay from another network is recorded as its own kind",
		file: "internal/auth/refresh_tokens.go",
		code: `throttle.Network(client.IP) != throttle.Network(session.LastIP)`,
		gone: `client.IP == ""`,
		pkg:  "internal/httpapi", run: "TestReplayFromAnotherNetwork",
	},
	{
		what: "a replay is compared with the last refresh",
		file: "internal/auth/refresh_tokens.go",
		code: `		"last_ip":         client.IP,
`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestReplayFromAnotherNetwork",
	},
	{
		what: "a refresh ends with the session",
		file: "internal/auth/refresh_tokens.go",
		code: `counter = ? AND revoked_at IS NULL`,
		gone: `counter = ?`,
		pkg:  "internal/httpapi", run: "TestAccountsAreLinearizable|TestLogoutRacesRefresh",
	},
	{
		what: "a refresh is decided by the counter",
		file: "internal/auth/refresh_tokens.go",
		code: `Where("id = ? AND counter = ? AND`,
		gone: `Where("id = ? AND counter >= ? AND`,
		pkg:  "internal/httpapi", run: "TestAccountsAreLinearizable",
	},
	{
		what: "an access token ends with the session",
		file: "internal/auth/authenticate.go",
		code: `sessions.revoked_at IS NULL AND `,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestAccountsAreLinearizable",
	},
	{
		what: "an access token ends with the generation",
		file: "internal/auth/authenticate.go",
		code: ` AND sessions.generation = users.generation`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestAccountsAreLinearizable",
	},
	{
		what: "a one-time token works once",
		file: "internal/auth/one_time_token.go",
		code: `return used.RowsAffected == 1, used.Error`,
		gone: `return true, used.Error`,
		pkg:  "internal/httpapi", run: "TestAccountsAreLinearizable",
	},
	{
		what: "a login does not create a session for an old password",
		file: "internal/auth/login.go",
		code: `WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL` + "`" + `,
			session.ID`,
		gone: `WHERE id = ? AND generation >= ? AND password_hash <> ? AND email = ? AND disabled_at IS NULL` + "`" + `,
			session.ID`,
		pkg: "internal/auth", run: "TestNoSessionIfTheUserChangedMeanwhile",
	},
}
