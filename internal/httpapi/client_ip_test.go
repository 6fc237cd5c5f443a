package httpapi

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func parseProxies(t testing.TB, text string) Proxies {
	t.Helper()
	proxies, err := ParseProxies(text)
	if err != nil {
		t.Fatal(err)
	}
	return proxies
}

func TestClientIP(t *testing.T) {
	const (
		trusted = "10.0.0.0/8, 192.0.2.1 ,2001:db8::/32,"
		proxy   = "10.0.0.1:1"
		client  = "203.0.113.9"
	)
	for name, test := range map[string]struct {
		trusted, peer string
		lines         []string
		want          string
	}{
		"the peer":                      {trusted, "203.0.113.9:4711", nil, client},
		"no proxy is trusted":           {"", proxy, []string{client}, "10.0.0.1"},
		"an untrusted peer":             {trusted, "203.0.113.9:1", []string{"198.51.100.1"}, client},
		"a trusted peer":                {trusted, proxy, []string{client}, client},
		"a trusted peer without a list": {trusted, proxy, nil, "10.0.0.1"},
		"a forged entry":                {trusted, proxy, []string{"198.51.100.1, 203.0.113.9"}, client},
		"a chain of proxies":            {trusted, proxy, []string{"198.51.100.1, 203.0.113.9,10.1.1.1 , 192.0.2.1"}, client},
		"several lines":                 {trusted, proxy, []string{"198.51.100.1", client, "10.2.2.2"}, client},
		"only trusted proxies":          {trusted, proxy, []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		"garbage at the end":            {trusted, proxy, []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		"garbage behind a proxy":        {trusted, proxy, []string{"203.0.113.9, ?, 10.2.2.2"}, "10.2.2.2"},
		"an empty element":              {trusted, proxy, []string{"203.0.113.9,"}, "10.0.0.1"},
		"IPv6":                          {trusted, "[2001:db8::1]:1", []string{"2001:DB9::9"}, "2001:db9::9"},
		"ports":                         {trusted, proxy, []string{"203.0.113.9:99, [2001:db8::2]:80"}, client},
		"IPv4 written as IPv6":          {trusted, "[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.9"}, client},
		"a proxy written as IPv6":       {"::ffff:10.0.0.1", proxy, []string{client}, client},
		"a zone":                        {"fe80::/10", "[fe80::1%eth0]:1", []string{client}, client},
		"a peer without an IP address":  {"0.0.0.0/0,::/0", "@", []string{client}, "@"},

		"a Unix socket":                   {"", unixPeer, []string{client}, client},
		"a Unix socket without a list":    {"", unixPeer, nil, "127.0.0.1"},
		"a forged entry on a Unix socket": {"", unixPeer, []string{"198.51.100.1, 203.0.113.9"}, client},
		"a local client":                  {"", unixPeer, []string{"198.51.100.1, 127.0.0.1"}, "127.0.0.1"},
		"a chain on a Unix socket":        {trusted, unixPeer, []string{"203.0.113.9, 10.1.1.1"}, client},
	} {
		header := http.Header{forwardedFor: test.lines}
		if got, _ := parseProxies(t, test.trusted).clientIP(test.peer, header); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	for _, text := range []string{
		"proxy.example.com", "10.0.0.0/33", "10.0.0.1:80", "10.0.0.1 10.0.0.2", "::ffff:10.0.0.0/104",
	} {
		if _, err := ParseProxies("10.0.0.1," + text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Forwarded is used like X-Forwarded-For. With both, only what they agree on is used: a client can
// send the one that the proxy does not write. The error is the reason why the address is not the
// client's.
func TestForwardingHeaders(t *testing.T) {
	const (
		proxy  = "10.0.0.1"
		client = "203.0.113.9"
		xff    = "X-Forwarded-For: "
		rip    = "X-Real-IP: "
		fwd    = "Forwarded: for="
		forged = "198.51.100.1"
	)
	for name, test := range map[string]struct {
		peer   string
		lines  []string
		want   string
		reason error
	}{
		"no proxy":  {client, nil, client, nil},
		"no header": {proxy, nil, proxy, errNoHeader},

		"X-Forwarded-For":       {proxy, []string{xff + client}, client, nil},
		"Forwarded":             {proxy, []string{fwd + client}, client, nil},
		"only X-Real-IP":        {proxy, []string{rip + client}, proxy, errRealIP},
		"X-Real-IP is not used": {proxy, []string{rip + forged, xff + client}, client, nil},

		"an untrusted X-Forwarded-For": {client, []string{xff + forged}, client, errUntrustedPeer},
		"an untrusted Forwarded":       {client, []string{fwd + forged}, client, errUntrustedPeer},
		"an untrusted X-Real-IP":       {client, []string{rip + forged}, client, errUntrustedPeer},
		"all untrusted": {
			client, []string{xff + forged, fwd + forged, rip + forged},
			client, errUntrustedPeer,
		},

		"a forged element":         {proxy, []string{fwd + forged + ",for=" + client}, client, nil},
		"a chain of proxies":       {proxy, []string{fwd + forged, fwd + client + ", for=10.0.0.2"}, client, nil},
		"only trusted proxies":     {proxy, []string{fwd + "10.0.0.3, for=10.0.0.2"}, "10.0.0.3", nil},
		"an unknown client":        {proxy, []string{fwd + forged, fwd + "unknown"}, proxy, errNoAddress},
		"an obfuscated client":     {proxy, []string{fwd + "_hidden, for=10.0.0.2"}, "10.0.0.2", errNoAddress},
		"an element without for":   {proxy, []string{fwd + forged, "Forwarded: proto=https"}, proxy, errNoAddress},
		"a malformed Forwarded":    {proxy, []string{fwd + `"x, for=` + client}, proxy, errNoAddress},
		"a quote that spans lines": {proxy, []string{fwd + `1;x="`, fwd + `"` + client + `"`}, proxy, errNoAddress},
		"an empty X-Forwarded-For": {proxy, []string{xff}, proxy, errNoAddress},

		"both agree": {proxy, []string{xff + client, fwd + client}, client, nil},
		"both have a chain": {
			proxy, []string{xff + client + ",10.0.0.2", fwd + client, fwd + "10.0.0.2"},
			client, nil,
		},
		"a forged entry in one":    {proxy, []string{xff + forged + "," + client, fwd + client}, client, nil},
		"both end with a proxy":    {proxy, []string{xff + "10.0.0.2", fwd + "10.0.0.2"}, "10.0.0.2", nil},
		"both are unreadable":      {proxy, []string{xff + "?", fwd + "?"}, proxy, errNoAddress},
		"a forged Forwarded":       {proxy, []string{xff + client, fwd + forged}, proxy, errNoAddress},
		"a forged X-Forwarded-For": {proxy, []string{xff + forged, fwd + client}, proxy, errNoAddress},
		"a forged proxy":           {proxy, []string{xff + client, fwd + forged + ", for=10.0.0.2"}, proxy, errNoAddress},
		"one has more": {
			proxy, []string{xff + client + ", 10.0.0.2", fwd + "10.0.0.2"},
			"10.0.0.2", errNoAddress,
		},
		"one is empty, one is not":  {proxy, []string{xff, fwd + forged}, proxy, errNoAddress},
		"one is forged and invalid": {proxy, []string{xff + client, fwd}, proxy, errNoAddress},
	} {
		header := make(http.Header)
		for _, line := range test.lines {
			name, value, _ := strings.Cut(line, ": ")
			header.Add(name, value)
		}
		got, reason := parseProxies(t, "10.0.0.0/8").clientIP(test.peer+":4711", header)
		if got != test.want || !errors.Is(reason, test.reason) || (reason == nil) != (test.reason == nil) {
			t.Errorf("%s: %s, %v, want %s, %v", name, got, reason, test.want, test.reason)
		}
	}
}

// For any header, clientIP returns an IP address, and none from the left of the first untrusted
// one.
func FuzzClientIP(f *testing.F) {
	f.Add("198.51.100.1, 203.0.113.9", "10.2.2.2")
	f.Add("[::1]:80, unknown,,", "\x00")
	proxies := parseProxies(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sent, nearest string) {
		header := http.Header{forwardedFor: {sent, "203.0.113.9"}}
		if got, _ := proxies.clientIP("10.0.0.1:1", header); got != "203.0.113.9" {
			t.Errorf("with %q left of the client: %s", sent, got)
		}
		got, _ := proxies.clientIP("10.0.0.1:1", http.Header{forwardedFor: {sent, nearest}})
		if address, err := netip.ParseAddr(got); err != nil || address.Is4In6() || address.Zone() != "" {
			t.Errorf("%q, %q: %s", sent, nearest, got)
		}
	})
}
