package httpapi

import (
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
	} {
		header := http.Header{forwardedFor: test.lines}
		if got := parseProxies(t, test.trusted).clientIP(test.peer, header); got != test.want {
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

// For any header, clientIP returns an IP address, and none from the left of the first untrusted
// one.
func FuzzClientIP(f *testing.F) {
	f.Add("198.51.100.1, 203.0.113.9", "10.2.2.2")
	f.Add("[::1]:80, unknown,,", "\x00")
	proxies := parseProxies(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sent, nearest string) {
		header := http.Header{forwardedFor: {sent, "203.0.113.9"}}
		if got := proxies.clientIP("10.0.0.1:1", header); got != "203.0.113.9" {
			t.Errorf("with %q left of the client: %s", sent, got)
		}
		got := proxies.clientIP("10.0.0.1:1", http.Header{forwardedFor: {sent, nearest}})
		if address, err := netip.ParseAddr(got); err != nil || address.Is4In6() || address.Zone() != "" {
			t.Errorf("%q, %q: %s", sent, nearest, got)
		}
	})
}
