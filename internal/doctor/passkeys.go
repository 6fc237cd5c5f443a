package doctor

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/sesame-auth/sesame/internal/server"
)

// checkPasskeys looks for pages of this deployment that cannot use its passkeys.
func checkPasskeys(_ context.Context, e *examination) Finding {
	id := e.Passkeys.ID
	const remedy = "Set SESAME_PASSKEY_RP_ID to the domain that all pages share, before users have passkeys: " +
		"those of one domain do not work with another."
	if server.IsLocalURL(e.PublicURL) {
		return ok("they are for %s", id)
	}
	if !strings.Contains(id, ".") {
		return warn(remedy, "passkeys are for %s, which browsers do not accept on %s", id, e.PublicURL)
	}
	var without []string
	for _, page := range slices.Concat([]string{e.LinkURL, e.AppURL}, e.CORSOrigins) {
		parsed, err := url.Parse(page)
		if err != nil || parsed.Host == "" {
			continue
		}
		origin := parsed.Scheme + "://" + parsed.Host
		if !slices.Contains(e.Passkeys.Origins, origin) && !slices.Contains(without, origin) {
			without = append(without, origin)
		}
	}
	if len(without) > 0 {
		return warn(remedy+" If these pages need none, ignore this.",
			"passkeys are for %s: pages of %s cannot use them", id, strings.Join(without, ", "))
	}
	return ok("they are for %s, and pages of %s use them", id, strings.Join(e.Passkeys.Origins, ", "))
}
