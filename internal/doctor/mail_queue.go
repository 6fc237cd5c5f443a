package doctor

import (
	"context"
	"time"

	"github.com/sesame-auth/sesame/internal/mail"
)

// maxWaiting is how long an email may wait. Usually a server sends it within seconds.
const maxWaiting = 5 * time.Minute

// checkMailQueue looks for emails that are not sent.
func checkMailQueue(ctx context.Context, e *examination) Finding {
	backlog, err := mail.ReadBacklog(ctx, e.db, e.Now())
	if err != nil {
		return fail("Repair the database, or try again.", "%s", err)
	}
	var problems []Finding
	if backlog.Dead > 0 {
		problems = append(problems, warn("List them with their errors with sesame mail list --dead. Then send them with "+
			"sesame mail retry, or delete them with sesame mail drop.", "emails given up: %d", backlog.Dead))
	}
	if backlog.Oldest > maxWaiting {
		problems = append(problems, warn("Start a server; if one runs, see the check mail-server, and the errors in "+
			"sesame mail list.", "emails waiting: %d; the oldest for %s", backlog.Messages, backlog.Oldest.Round(time.Second)))
	}
	return orOK(problems, ok("emails waiting: %d; given up: 0", backlog.Messages))
}
