package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sesame-auth/sesame/internal/auth"
	"github.com/sesame-auth/sesame/internal/secret"
	"github.com/sesame-auth/sesame/internal/signing"
	"github.com/sesame-auth/sesame/internal/throttle"
)

// checkSecret checks that there is a secret, that it decrypts what is in the database, and whether
// the previous secret is still needed.
func checkSecret(ctx context.Context, e *examination) Finding {
	secrets, err := e.ReadSecrets()
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fail("Make the file readable for the user of the server, with a secret as openssl rand -base64 32 prints it.",
			"%s", err)
	}
	if e.db == nil || e.failed("schema") {
		if missing {
			return skip("%s does not exist; whether the database needs it is not known", e.SecretFile())
		}
		return skip("there is a secret; it was not compared with the database, which needs the check schema")
	}
	keys, sealed, err := countSealed(ctx, e, secrets)
	switch {
	case missing && keys == 0 && err == nil:
		return ok("the first start makes a secret, in %s", e.SecretFile())
	case missing:
		return fail("Restore the file from a backup, or set SESAME_SECRET to what it contained.",
			"%s is missing, and the database was created with it", e.SecretFile())
	case errors.Is(err, secret.ErrSealed):
		return fail("Set SESAME_SECRET, or the file secret in the data folder, to the one that this database was created "+
			"with. While you change the secret, the other one belongs in SESAME_SECRET_PREVIOUS.",
			"the database was created with another secret: %s", err)
	case err != nil:
		return fail("Repair the database, or try again.", "%s", err)
	case len(secrets) > 1 && sealed > 0:
		return warn("Keep SESAME_SECRET_PREVIOUS. A server with these settings encrypts everything again within an hour.",
			"%d values in the database are encrypted with SESAME_SECRET_PREVIOUS", sealed)
	case len(secrets) > 1:
		return warn(fmt.Sprintf("Continue to change the secret. If all servers have had these settings for %s "+
			"(SESAME_SESSION_TTL), remove SESAME_SECRET_PREVIOUS.", hours(e.SessionTTL)),
			"SESAME_SECRET_PREVIOUS is set, and nothing in the database is encrypted with it")
	}
	return ok("it decrypts the signing keys")
}

// countSealed returns the number of signing keys, and of the values in the database that are sealed
// under the previous secret. Without secrets, it only counts the keys.
func countSealed(ctx context.Context, e *examination, secrets []secret.Secret) (keys, outdated int, err error) {
	if len(secrets) == 0 {
		stored, err := signing.List(ctx, e.db, e.SigningAlgorithm, e.Now())
		return len(stored), 0, err
	}
	keys, outdated, err = signing.CheckSealed(ctx, e.db, secrets)
	if err != nil {
		return 0, 0, err
	}
	isOutdated, err := throttle.CheckKey(ctx, e.db, secrets)
	if err != nil {
		return 0, 0, err
	}
	if isOutdated {
		outdated++
	}
	if len(secrets) == 1 {
		return keys, outdated, nil // the keys show that the secret is right; there may be many apps
	}
	apps, err := auth.CountOutdatedTOTP(ctx, e.db, secrets)
	return keys, outdated + apps, err
}

// hours returns a duration of hours for people, such as 720h.
func hours(d time.Duration) string { return fmt.Sprintf("%.0fh", d.Hours()) }
