package doctor

import (
	"context"
	"time"

	"github.com/sesame-auth/sesame/internal/audit"
)

const (
	// maxDifference is how much the clocks of servers and services may differ: package verify refuses
	// a token that was issued more than a minute in the future.
	maxDifference = time.Minute
	// notableDifference is more than clocks differ that are synchronized.
	notableDifference = 5 * time.Second
)

// checkClock compares the clock of this machine with that of PostgreSQL, and with the newest event.
func checkClock(ctx context.Context, e *examination) Finding {
	const remedy = "Synchronize the clocks of all machines, for example with NTP (timedatectl set-ntp true)."
	var problems []Finding
	if ahead := e.facts.ClockAhead; ahead.Abs() > notableDifference {
		finding := warn(remedy,
			"the clock of this machine and that of PostgreSQL differ by %s", ahead.Abs().Round(time.Second))
		if ahead.Abs() > maxDifference {
			finding.Status = Error
			finding.Detail += ": services refuse tokens from more than a minute in the future"
		}
		problems = append(problems, finding)
	}
	newest, err := audit.Newest(ctx, e.db)
	if err != nil {
		return fail("Repair the database, or try again.", "%s", err)
	}
	if ahead := newest.Sub(e.Now()); ahead > maxDifference {
		problems = append(problems, warn("Set the clock of this machine right. If it is right, a clock was ahead when the "+
			"event was stored: see Clocks in docs/operations.md.",
			"the newest event in the database is %s in the future", ahead.Round(time.Second)))
	}
	fine := ok("no event in the database is in the future")
	if e.usesPostgres() {
		fine = ok("differs from that of PostgreSQL by %s", e.facts.ClockAhead.Abs().Round(time.Millisecond))
	}
	return orOK(problems, fine)
}
