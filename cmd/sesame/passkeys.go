package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sesame-auth/sesame/internal/httpapi"
)

// fallbackRPID is the RP ID if the public URL has an IP address: browsers accept only domains.
const fallbackRPID = "localhost"

// checkPasskeys fills in the defaults of the settings of passkeys, and returns what is wrong with
// them.
//
// By default the RP ID is the host of the public URL, and the origins are those in the other
// settings whose pages a browser lets use it.
func (c *config) checkPasskeys() (errs []error) {
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil // SESAME_PUBLIC_URL is reported
	}
	c.Passkeys.Name = c.Brand.Name
	if isIP(public.Hostname()) {
		public.Host = strings.Replace(public.Host, hostOf(public), fallbackRPID, 1)
	}
	given, rpID := c.Passkeys.ID != "", &c.Passkeys.ID
	if !given {
		*rpID = strings.ToLower(public.Hostname())
	} else if !isDomainName(*rpID) {
		return []error{errors.New("SESAME_PASSKEY_RP_ID: must be a domain in lower case, such as example.com")}
	}
	for _, origin := range c.Passkeys.Origins {
		if !mayUsePasskeys(origin, *rpID) {
			errs = append(errs, fmt.Errorf("SESAME_PASSKEY_ORIGINS: %q must be https, or http on localhost, and its host "+
				"must be %s or end with .%s (SESAME_PASSKEY_RP_ID)", origin, *rpID, *rpID))
		}
	}
	if len(c.Passkeys.Origins) > 0 {
		return errs
	}
	if !given { // also if it is not https: passkeys do not work then, but everything else does
		c.Passkeys.Origins = []string{public.Scheme + "://" + public.Host}
	}
	for _, other := range append([]string{public.String(), c.LinkURL, c.AppURL}, c.CORSOrigins...) {
		parsed, err := url.Parse(other)
		if err != nil || parsed.Host == "" {
			continue
		}
		origin := parsed.Scheme + "://" + parsed.Host
		if mayUsePasskeys(origin, *rpID) && !slices.Contains(c.Passkeys.Origins, origin) {
			c.Passkeys.Origins = append(c.Passkeys.Origins, origin)
		}
	}
	if len(c.Passkeys.Origins) == 0 {
		errs = append(errs, fmt.Errorf("SESAME_PASSKEY_ORIGINS: must be set, because no other setting has an origin "+
			"whose host is %s or ends with .%s (SESAME_PASSKEY_RP_ID)", *rpID, *rpID))
	}
	return errs
}

// androidApp is how the origin of an Android app begins. The rest is a hash of its signing key.
const androidApp = "android:apk-key-hash:"

// parsePasskeyOrigins parses origins of pages and of Android apps, separated by commas.
func parsePasskeyOrigins(text string) (origins []string, err error) {
	var pages []string
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); strings.HasPrefix(entry, androidApp) && entry != androidApp {
			origins = append(origins, entry)
		} else {
			pages = append(pages, entry)
		}
	}
	parsed, err := httpapi.ParseOrigins(strings.Join(pages, ","))
	return append(origins, parsed...), err
}

// mayUsePasskeys reports whether browsers let pages of an origin use passkeys for an RP ID
// (WebAuthn Level 3, section 5.1.3): a secure context whose host is the RP ID or a subdomain of it.
func mayUsePasskeys(origin, rpID string) bool {
	if strings.HasPrefix(origin, androidApp) {
		return true // Android checks it with a file on the domain
	}
	parsed, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := strings.ToLower(parsed.Hostname())
	isLocal := host == fallbackRPID || strings.HasSuffix(host, "."+fallbackRPID)
	return (parsed.Scheme == "https" || parsed.Scheme == "http" && isLocal) &&
		(host == rpID || strings.HasSuffix(host, "."+rpID))
}

// hostOf returns the host of a URL without the port, as it is written in the URL.
func hostOf(u *url.URL) string { return strings.TrimSuffix(u.Host, ":"+u.Port()) }

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// isDomainName reports whether text is a domain in lower case.
func isDomainName(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return len(text) <= 253 && !isIP(text)
}
