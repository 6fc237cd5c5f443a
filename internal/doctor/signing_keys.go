package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/sesame-auth/sesame/internal/signing"
)

// lateRotation is how long after its time the next key may be published: a server looks for it at
// every SESAME_RELOAD_KEYS.
const lateRotation = time.Hour

// checkSigningKeys checks that there is a key of the configured algorithm, and that the keys rotate.
func checkSigningKeys(ctx context.Context, e *examination) Finding {
	keys, err := signing.List(ctx, e.db, e.SigningAlgorithm, e.Now())
	if err != nil {
		return fail("Repair the database, or try again.", "%s", err)
	}
	find := func(state signing.State) *signing.KeyInfo {
		i := slices.IndexFunc(keys, func(k signing.KeyInfo) bool {
			return k.State == state && k.Algorithm == e.SigningAlgorithm
		})
		if i < 0 {
			return nil
		}
		return &keys[i]
	}
	active, next := find(signing.Active), find(signing.Next)
	switch {
	case len(keys) == 0:
		return ok("there are none yet: the first start makes one")
	case active == nil:
		return warn("Restart all servers: the first one makes a key. Access tokens of the other keys stay valid.",
			"no key is for %s (SESAME_SIGNING_ALGORITHM)", e.SigningAlgorithm)
	}
	age := e.Now().Sub(active.SignsFrom)
	overdue := age - (signing.RotateEvery - signing.PublishBefore)
	switch {
	case next == nil && overdue > lateRotation:
		return warn("Start a server, or find the reason in its log: could not reload the signing keys. "+
			"sesame keys rotate publishes the next key now.",
			"the key %s signs for %d days, and the next one is not published", active.Kid, days(age))
	case next != nil:
		return ok("%s signs for %d days; %s is published and signs from %s",
			e.SigningAlgorithm, days(age), next.Kid, next.SignsFrom.UTC().Format(time.RFC3339))
	}
	return ok("%s signs for %d of %d days", e.SigningAlgorithm, days(age), days(signing.RotateEvery))
}

func days(d time.Duration) int { return int(d / (24 * time.Hour)) }
