package main

// throttling has the guards of rate limits, and of the queue of passwords.
var throttling = []guard{
	{
		what: "a budget that is spent refuses an attempt, which writes nothing",
		file: "internal/throttle/reservation.go",
		code: `WHERE throttle.tat > due.latest)`,
		gone: `WHERE throttle.tat > due.latest AND FALSE)`,
		pkg:  "internal/throttle", run: "TestRefusalWritesNothing",
	},
	{
		what: "a budget that another attempt spends meanwhile refuses an attempt",
		file: "internal/throttle/reservation.go",
		code: `WHERE throttle.tat <= (`,
		gone: `WHERE throttle.tat <= 1000000000000 + (`,
		pkg:  "internal/throttle", run: "TestSpentMeanwhile",
	},
	{
		what: "an attempt that is refused is charged to no budget",
		file: "internal/throttle/reservation.go",
		code: `return nil, t.db.Statement(ctx, reservation.Refund)`,
		gone: `return nil, nil`,
		pkg:  "internal/throttle", run: "TestSpentMeanwhile",
	},
	{
		what: "a refusal that is known does not ignore attempts in flight",
		file: "internal/throttle/local.go",
		code: `if of == nil || of.inFlight > 0 || !of.spent(now) {`,
		gone: `if of == nil || !of.spent(now) {`,
		pkg:  "internal/throttle", run: "TestRefusedWithAnAttemptInFlight",
	},
	{
		what: "a flood from many networks is recorded once",
		file: "internal/auth/limits.go",
		code: `Subject: string(event.Kind) + " " + refused.Budget}`,
		gone: `Subject: string(event.Kind) + " " + event.IP}`,
		pkg:  "internal/httpapi", run: "TestWideNetworks",
	},
	{
		what: "a time that was stored while a clock was ahead is not believed",
		file: "internal/throttle/gcra.go",
		code: `if tat > now+g.tolerance+g.interval+maxAhead {`,
		gone: `if tat < 0 {`,
		pkg:  "internal/throttle", run: "TestClockSetBack",
	},
	{
		what: "a refund returns nothing that has refilled by itself",
		file: "internal/throttle/gcra.go",
		code: `g.interval-max(0, now-base)`,
		gone: `g.interval`,
		pkg:  "internal/throttle", run: "TestRefundGainsNothing",
	},
	{
		what: "an attempt waits for those in flight",
		file: "internal/throttle/local.go",
		code: `final = final || of.inFlight == 1 // this attempt`,
		gone: `final = true`,
		pkg:  "internal/throttle", run: "TestAttemptsWaitForRefunds",
	},
	{
		what: "a refund during a query is not missed",
		file: "internal/throttle/local.go",
		code: `free > 0 && of.refunds == a.seen[i]`,
		gone: `free > 0`,
		pkg:  "internal/throttle", run: "TestRefundDuringAQuery",
	},
	{
		what: "attempts that wait for a refund query one after another",
		file: "internal/throttle/local.go",
		code: `case first != nil && first.querying != nil:`,
		gone: `case first != nil && first.querying != nil && now < 0:`,
		pkg:  "internal/throttle", run: "TestWaitingCausesFewQueries",
	},
	{
		what: "a limited number of refusals is remembered",
		file: "internal/throttle/local.go",
		code: `if len(l.budgets) <= mostRemembered {`,
		gone: `if len(l.budgets) <= 100*mostRemembered {`,
		pkg:  "internal/throttle", run: "TestRememberedRefusalsAreLimited",
	},
	{
		what: "a refusal is not repeated for longer than a second",
		file: "internal/throttle/local.go",
		code: `min(free, refused.at+remembered.Microseconds())`,
		gone: `free`,
		pkg:  "internal/throttle", run: "TestRefusalIsRemembered",
	},
	{
		what: "a network that a budget spares is known for this email",
		file: "internal/auth/known_network.go",
		code: `s.throttle.Pseudonym("known network", email, throttle.Network(ip))`,
		gone: `s.throttle.Pseudonym("known network", throttle.Network(ip))`,
		pkg:  "internal/httpapi", run: "TestFloodInASharedNetwork",
	},
	{
		what: "a network is not known forever",
		file: "internal/auth/known_network.go",
		code: `s.now().Add(-knownFor)`,
		gone: `s.now().Add(-100 * knownFor)`,
		pkg:  "internal/httpapi", run: "TestLimitPerEmail",
	},
	{
		what: "each login renews a known network",
		file: "internal/auth/known_network.go",
		code: `DO UPDATE SET last_seen = excluded.last_seen`,
		gone: `DO NOTHING`,
		pkg:  "internal/httpapi", run: "TestKnownNetworkIsRenewed",
	},
	{
		what: "the limits on a network spare users who logged in from it",
		file: "internal/auth/limits.go",
		code: `	if known != nil {
		reservation`,
		gone: `	if known != nil && err != nil {
		reservation`,
		pkg: "internal/httpapi", run: "TestFloodInASharedNetwork",
	},
	{
		what: "a known network allows 100 wrong passwords",
		file: "internal/auth/limits.go",
		code: `throttle.Charge{Limit: loginsPerKnownNetwork, Subject: pair.Subject}`,
		gone: `throttle.Charge{Limit: registrationsPerNetwork, Subject: pair.Subject}`,
		pkg:  "internal/httpapi", run: "TestLimitPerKnownNetwork",
	},
	{
		what: "unknown networks together allow 100 wrong passwords",
		file: "internal/auth/limits.go",
		code: `{Limit: loginsPerEmail, Subject: email}}`,
		gone: `{Limit: linkEmailsPerMinute, Subject: event.RequestID}}`,
		pkg:  "internal/httpapi", run: "TestLimitPerEmail",
	},
	{
		what: "a network can try 20 emails",
		file: "internal/auth/limits.go",
		code: `throttle.Charge{Limit: emailsPerNetwork, Distinct: email}.PerNetwork(event.IP),`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLimitOfEmailsPerNetwork",
	},
	{
		what: "networks next to each other share a budget",
		file: "internal/throttle/network.go",
		code: `return network(ip, 24, 48)`,
		gone: `return network(ip, 32, 64)`,
		pkg:  "internal/httpapi", run: "TestWideNetworks",
	},
	{
		what: "a new password lifts the limits for a known network",
		file: "internal/auth/limits.go",
		code: `s.throttle.Clear(tx, limit, string(pair))`,
		gone: `s.throttle.Clear(tx, limit, "another "+string(pair))`,
		pkg:  "internal/httpapi", run: "TestLimitPerKnownNetwork",
	},
	{
		what: "a new password lifts the limit for unknown networks",
		file: "internal/auth/limits.go",
		code: `if err := s.throttle.Clear(tx, loginsPerEmail, user.Email); err != nil {`,
		gone: `if err := tx.Error; err != nil {`,
		pkg:  "internal/httpapi", run: "TestLimitPerEmail",
	},
	{
		what: "a new password forgets known networks",
		file: "internal/auth/known_network.go",
		code: `Where("user_id = ?", user).Delete(&rows)`,
		gone: `Where("user_id = ? AND 1 = 0", user).Delete(&rows)`,
		pkg:  "internal/httpapi", run: "TestNewPasswordForgetsKnownNetworks",
	},
	{
		what: "the network of a reset becomes known",
		file: "internal/auth/reset_password.go",
		code: `if err := s.rememberNetwork(tx, user, client.IP, now); err != nil {`,
		gone: `if err := error(nil); err != nil {`,
		pkg:  "internal/httpapi", run: "TestFloodInASharedNetwork",
	},
	{
		what: "a reset token can be tried 30 times",
		file: "internal/auth/reset_password.go",
		code: `s.reserve(ctx, event, throttle.Charge{Limit: resetsPerAccount, Subject: user.ID.String()})`,
		gone: `s.reserve(ctx, event)`,
		pkg:  "internal/httpapi", run: "TestLimitOfResets",
	},
	{
		what: "attempts with invalid reset tokens are limited",
		file: "internal/auth/reset_password.go",
		code: `s.reserve(ctx, event, throttle.Charge{Limit: passwordsPerNetwork}.PerNetwork(event.IP)...)`,
		gone: `s.reserve(ctx, event)`,
		pkg:  "internal/httpapi", run: "TestLimitPerNetwork",
	},
	{
		what: "a network can register 200 accounts a day",
		file: "internal/auth/register.go",
		code: `throttle.Charge{Limit: registrationsPerNetwork}.PerNetwork(client.IP),`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestLimitOfRegistrations",
	},
	{
		what: "a tag in an email has no budget of its own",
		file: "internal/auth/limits.go",
		code: `mailbox := string(kind) + " " + withoutTag(email)`,
		gone: `mailbox := string(kind) + " " + email`,
		pkg:  "internal/httpapi", run: "TestResetEmailLimits",
	},
	{
		what: "a known network has reset emails of its own",
		file: "internal/auth/send_verification_email.go",
		code: `s.reserveLinkEmail(ctx, event, link, email, known)`,
		gone: `s.reserveLinkEmail(ctx, event, link, email, false)`,
		pkg:  "internal/httpapi", run: "TestResetEmailLimits",
	},
	{
		what: "one unknown network cannot use up the reset emails",
		file: "internal/auth/limits.go",
		code: `{Limit: linkEmailsPerNetwork, Subject: inNetwork},`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestResetEmailLimits",
	},
	{
		what: "all known networks together get 20 reset emails a day",
		file: "internal/auth/limits.go",
		code: `{Limit: linkEmailsToAccount, Subject: string(kind) + " " + email},`,
		gone: ``,
		pkg:  "internal/httpapi", run: "TestResetEmailLimits",
	},
	{
		what: "users of known networks are hashed first",
		file: "internal/auth/login.go",
		code: `	if known {
		hashing`,
		gone: `	if known && ctx == nil {
		hashing`,
		pkg: "internal/httpapi", run: "TestKnownNetworksAreHashedFirst",
	},
	{
		what: "one user does not fill the queue of known networks",
		file: "internal/password/gate.go",
		code: `name != "" && !g.names[name]`,
		gone: `name != ""`,
		pkg:  "internal/password", run: "TestPreferredCallsGoFirst",
	},
	{
		what: "a canceled call loses no turn",
		file: "internal/password/gate.go",
		code: `	case <-w.turn: // at the same time
		g.next()`,
		gone: `	case <-w.turn: // at the same time`,
		pkg:  "internal/password", run: "TestCanceledCallsLoseNoTurn",
	},
	{
		what: "an unknown email costs a hash",
		file: "internal/auth/login.go",
		code: `	hash := s.dummyHash
	if user != nil && user.HasPassword() {
		hash = user.PasswordHash
	}`,
		gone: `	if user == nil {
		return "no such account", nil
	}
	hash := user.PasswordHash`,
		pkg: "internal/httpapi", run: "TestBusyHashing",
	},
	{
		what: "attempts do not wait for a failing database one after another",
		file: "internal/throttle/throttle.go",
		code: `shared := err
`,
		gone: `var shared error
`,
		pkg: "internal/throttle", run: "TestFailedQuery",
	},
	{
		what: "a canceled attempt does not fail others",
		file: "internal/throttle/throttle.go",
		code: `if ctx.Err() != nil { // only this`,
		gone: `if ctx.Err() != nil && t == nil { // only this`,
		pkg:  "internal/throttle", run: "TestFailedQuery",
	},
}
