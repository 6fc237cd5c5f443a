package main

import "slices"

// guards lists the guards that a test must protect.
var guards = slices.Concat(throttling, sessions, requests, storage, emails, emailChanges, accounts, ownAccount,
	codes, recentLogins, passkeys, traces, listeners, backups, copies, examinations)
