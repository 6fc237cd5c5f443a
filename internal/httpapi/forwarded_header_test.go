package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
)

// The syntax of RFC 7239, sections 4 and 6. An empty string stands for an element without an IP
// address, and nil for a malformed header.
func TestForwardedSyntax(t *testing.T) {
	for header, want := range map[string][]string{
		// the examples of RFC 7239, section 4
		`for="_gazonk"`:                                                      {""},
		`For="[2001:db8:cafe::17]:4711"`:                                     {"2001:db8:cafe::17"},
		`for=192.0.2.60;proto=http;by=203.0.113.43`:                          {"192.0.2.60"},
		`for=192.0.2.43, for=198.51.100.17`:                                  {"192.0.2.43", "198.51.100.17"},
		`for=192.0.2.43, for="[2001:db8:cafe::17]"`:                          {"192.0.2.43", "2001:db8:cafe::17"},
		`for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown`:               {"192.0.2.43", "2001:db8:cafe::17", ""},
		`for=_hidden, for=_SEVKISEK`:                                         {"", ""},
		`for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;host=example.com`: {"192.0.2.43", "198.51.100.17"},

		// nodes and ports
		`for="192.0.2.60:47011"`:             {"192.0.2.60"},
		`for="192.0.2.60:_port.x-1"`:         {"192.0.2.60"},
		`for="192.0.2.60:"`:                  {""},
		`for="192.0.2.60:80:81"`:             {""},
		`for="192.0.2.60: 80"`:               {""},
		`for="[192.0.2.60]"`:                 {""},
		`for="2001:db8::1"`:                  {""},
		`for="[2001:db8::1"`:                 {""},
		`for="2001:db8::1]"`:                 {""},
		`for="[2001:db8::1]80"`:              {""},
		`for="[2001:db8::1]:_x"`:             {"2001:db8::1"},
		`for="[::ffff:192.0.2.60]:80"`:       {"192.0.2.60"},
		`for="[fe80::1%eth0]"`:               {""},
		`for=unknown`:                        {""},
		`for="unknown:80"`:                   {""},
		`for="_hidden:_port"`:                {""},
		`for=192.0.2`:                        {""},
		`for=0300.0.2.60`:                    {""},
		`for=client.example.com`:             {""},
		`for=""`:                             {""},
		`for="192.0.2.60, 192.0.2.61"`:       {""},
		`for="192.0.2.60;proto=http"`:        {""},
		`for="\1\9\2.0.2.60"`:                {"192.0.2.60"},
		`proto=https;host="a,b;for=1.2.3.4"`: {""},

		// white space, case and empty elements and parameters
		"FOR=192.0.2.60 ;\tproto=http":    {"192.0.2.60"},
		`; for=192.0.2.60 ;`:              {"192.0.2.60"},
		`for=192.0.2.60,`:                 {"192.0.2.60", ""},
		`, for=192.0.2.60`:                {"", "192.0.2.60"},
		``:                                {""},
		`by=203.0.113.43;for=192.0.2.60`:  {"192.0.2.60"},
		`forx=192.0.2.60;for2=192.0.2.61`: {""},
		`x="\"";for=192.0.2.60`:           {"192.0.2.60"},

		// malformed
		`192.0.2.60`:                      nil,
		`for=192.0.2.60:80`:               nil,
		`for=[2001:db8::1]`:               nil,
		`for=`:                            nil,
		`for`:                             nil,
		`=192.0.2.60`:                     nil,
		`for =192.0.2.60`:                 nil,
		`for= 192.0.2.60`:                 nil,
		`for=192.0.2.60 proto=http`:       nil,
		`for=192.0.2.60;for=192.0.2.61`:   nil,
		`for=192.0.2.60;FOR=192.0.2.60`:   nil,
		`for="192.0.2.60`:                 nil,
		`for="192.0.2.60\`:                nil,
		`for="192.0.2.60"x`:               nil,
		`for='192.0.2.60:80'`:             nil,
		`x=", for=192.0.2.60`:             nil,
		`x=", for=192.0.2.60;by="_proxy"`: nil,
		`x="\, for="192.0.2.60"`:          nil,
		`for=192.0.2.60, für=192.0.2.61`:  nil,
		"for=192.0.2.60\x00":              nil,
	} {
		if want == nil {
			want = []string{""}
		}
		var got []string
		for _, address := range forwardedAddresses(header) {
			text := ""
			if address.IsValid() {
				text = address.String()
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// Whatever a client sends, the address is the one that the trusted proxy appended, or the proxy's.
func FuzzForwarded(f *testing.F) {
	for _, sent := range []string{
		"", "for=198.51.100.1", `x="`, `x="\`, `for="a,b"`, ";", `for=198.51.100.1, for="`, `x=", for=198.51.100.1;y="`,
	} {
		f.Add(sent, "example.com")
	}
	proxies := parseProxies(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, sent, host string) {
		quotedHost := `"`
		for _, b := range []byte(host) {
			if b == '"' || b == '\\' {
				quotedHost += `\`
			}
			quotedHost += string([]byte{b})
		}
		for _, appended := range []string{
			"for=203.0.113.9", `for="203.0.113.9:80";by=_proxy`, `proto=https;host=` + quotedHost + `";for=203.0.113.9`,
		} {
			for _, lines := range [][]string{{sent + ", " + appended}, {sent, appended}} {
				got, _ := proxies.clientIP("10.0.0.1:1", http.Header{forwarded: lines})
				if got != "203.0.113.9" && got != "10.0.0.1" {
					t.Errorf("%q: %s", lines, got)
				}
			}
		}
		for _, address := range forwardedAddresses(sent) {
			if address != (netip.Addr{}) && (address.Is4In6() || address.Zone() != "") {
				t.Errorf("%q: %s", sent, address)
			}
		}
	})
}
