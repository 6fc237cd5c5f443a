package main

// sessions has the guards of sessions and one-time tokens.
var sessions = []guard{
	{
		what: "a login stores nothing if the user changed meanwhile",
		file: "internal/auth/start_session.go",
		code: `return database.Require(tx, "EXISTS (SELECT 1 FROM sessions WHERE id = ?)", session.ID)`,
		gone: `return nil`,
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
		file: "internal/auth/start_session.go",
		code: `WHERE id = ? AND generation = ? AND password_hash = ? AND email = ? AND disabled_at IS NULL
			AND (? OR`,
		gone: `WHERE id = ? AND generation >= ? AND password_hash <> ? AND email = ? AND disabled_at IS NULL
			AND (? OR`,
		pkg: "internal/auth", run: "TestNoSessionIfTheUserChangedMeanwhile",
	},
	{
		what: "an access token that was verified expires",
		file: "internal/token/access.go",
		code: ` && token.claims.ValidAt(a.config.Now())`,
		gone: ``,
		pkg:  "internal/token", run: "TestVerifiedTokenAndClock",
	},
	{
		what: "an access token is refused while the clock is behind",
		file: "verify/verify.go",
		code: ` && !now.Before(c.IssuedAt.Add(-maxAhead))`,
		gone: ``,
		pkg:  "internal/token", run: "TestVerifiedTokenAndClock",
	},
	{
		what: "an access token that was verified ends with its key",
		file: "internal/token/access.go",
		code: `err == nil && token.key.Equal(key)`,
		gone: `(err != nil || token.key.Equal(key))`,
		pkg:  "internal/token", run: "TestVerifiedTokenOfRevokedKey",
	},
	{
		what: "an access token that was verified with another key is verified again",
		file: "internal/token/access.go",
		code: `token.key.Equal(key)`,
		gone: `key != nil`,
		pkg:  "internal/token", run: "TestVerifiedTokenOfAnotherKey",
	},
	{
		what: "a limited number of verified access tokens is remembered",
		file: "internal/token/verified.go",
		code: `len(v.tokens) == maxVerified`,
		gone: `len(v.tokens) < 0`,
		pkg:  "internal/token", run: "TestRememberedTokensAreLimited",
	},
	{
		what: "an access token that is refused is not remembered",
		file: "internal/token/access.go",
		code: `		var err error
		if known,`,
		gone: `		var err error
		a.verified.add(sum, &verified{})
		if known,`,
		pkg: "internal/token", run: "TestRefusedTokensAreNotRemembered",
	},
}
