package throttle_test

import (
	"testing"

	"github.com/sesame-auth/sesame/internal/throttle"
)

func TestNetwork(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7/32",
		"::ffff:192.0.2.7":         "192.0.2.7/32",
		"::ffff:c000:207":          "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"2001:DB8:1:2::":           "2001:db8:1:2::/64",
		"2001:db8:1:3::1":          "2001:db8:1:3::/64",
		"fe80::1%eth0":             "fe80::/64",
		"::1":                      "::/64",
		"":                         "",
		"nobody":                   "",
		"192.0.2.7:80":             "",
		"192.0.2.007":              "",
		"192.0.2.7/32":             "",
		"2001:db8:1:2:3:4:5:6:7:8": "",
	} {
		if got := throttle.Network(ip); got != want {
			t.Errorf("%q: got %q, want %q", ip, got, want)
		}
	}
}
