package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/net/http/httpguts"
)

const (
	exposedHeaders  = "Retry-After, WWW-Authenticate, X-Request-Id" // a page may read them
	preflightMaxAge = "7200"                                        // seconds; the limit of Chromium
	// maxRequestedHeaders is the maximum length of Access-Control-Request-Headers.
	maxRequestedHeaders = 1024
)

// Origins are the web origins whose pages may call the API and read its responses, as a browser
// sends them (RFC 6454, section 6.2). If it is empty, only pages of the API's own origin may.
type Origins []string

// ParseOrigins parses origins separated by commas. The error lists every entry that no browser
// would send in this form, with the form that browsers send.
func ParseOrigins(text string) (Origins, error) {
	var origins Origins
	var invalid []string
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		sent, err := serializedOrigin(entry)
		if err == nil && sent != entry {
			err = fmt.Errorf("browsers send it as %s", sent)
		}
		if err != nil {
			invalid = append(invalid, fmt.Sprintf("%q: %v", entry, err))
			continue
		}
		origins = append(origins, entry)
	}
	if len(invalid) > 0 {
		return nil, errors.New(strings.Join(invalid, "; "))
	}
	return origins, nil
}

// serializedOrigin returns the origin of a URL in the form that browsers send.
func serializedOrigin(text string) (string, error) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Scheme == "" || parsed.Hostname() == "":
		return "", errors.New("must be an origin, such as https://app.example.com")
	case strings.Contains(text, "*"):
		return "", errors.New("must be one origin; there are no wildcards")
	case strings.ContainsFunc(parsed.Host, func(r rune) bool { return r > '~' }):
		return "", errors.New("must have its host in ASCII, an internationalized domain as A-labels (xn--…)")
	}
	host := strings.ToLower(parsed.Hostname())
	if strings.Contains(host, ":") {
		address, err := netip.ParseAddr(host)
		if err != nil || address.Zone() != "" {
			return "", errors.New("must have a name or an IP address as its host")
		}
		host = "[" + address.String() + "]"
	}
	origin := parsed.Scheme + "://" + host
	if parsed.Port() == "" {
		return origin, nil
	}
	port, err := strconv.ParseUint(parsed.Port(), 10, 16)
	switch {
	case err != nil:
		return "", errors.New("must have a port up to 65535")
	case parsed.Scheme == "https" && port == 443, parsed.Scheme == "http" && port == 80:
		return origin, nil
	}
	return fmt.Sprintf("%s:%d", origin, port), nil
}

// allow implements CORS (Fetch Standard, section 3.3). It lets pages of the listed origins read
// every response, including errors, and responds to their preflight requests for operations.
//
// It does not send Access-Control-Allow-Credentials, which is for cookies and other credentials
// that a browser sends by itself. A page must write tokens into headers and bodies, so a page
// without a token can do nothing.
func (o Origins) allow(isOperation func(method, path string) bool) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r, header := c.Request(), c.Response().Header()
			// Always: a cache must not serve a response without CORS headers to a listed origin.
			header.Add("Vary", "Origin")
			if r.Method == http.MethodOptions {
				header.Add("Vary", "Access-Control-Request-Method")
				header.Add("Vary", "Access-Control-Request-Headers")
			}
			sent := r.Header.Values("Origin")
			if len(sent) != 1 || !slices.Contains(o, sent[0]) {
				return next(c)
			}
			header.Set("Access-Control-Allow-Origin", sent[0])
			method := r.Header.Get("Access-Control-Request-Method")
			if r.Method != http.MethodOptions || method == "" {
				header.Set("Access-Control-Expose-Headers", exposedHeaders)
				return next(c)
			}
			if _, found := c.Get(echo.ContextKeyHeaderAllow).(string); !found {
				return next(c) // unknown path
			}
			if !isOperation(method, c.Path()) {
				return echo.MethodNotAllowedHandler(c)
			}
			header.Set("Access-Control-Allow-Methods", method)
			if names := requestedHeaders(r); names != "" {
				header.Set("Access-Control-Allow-Headers", names)
			}
			header.Set("Access-Control-Max-Age", preflightMaxAge)
			return c.NoContent(http.StatusNoContent)
		}
	}
}

// requestedHeaders returns the names of headers that a page wants to send, or nothing if they are
// not valid. A page may send any header, because tools for tracing add headers of their own and no
// header gives a page more rights than another client has. The names are repeated because browsers
// do not apply a * to Authorization.
func requestedHeaders(preflight *http.Request) string {
	names := strings.Join(preflight.Header.Values("Access-Control-Request-Headers"), ",")
	if len(names) > maxRequestedHeaders {
		return ""
	}
	for name := range strings.SplitSeq(names, ",") {
		if !httpguts.ValidHeaderFieldName(strings.Trim(name, " \t")) {
			return ""
		}
	}
	return names
}
