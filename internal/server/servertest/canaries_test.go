package servertest

import (
	"slices"
	"testing"
)

// A secret is found wherever it is in a text, and only if it is there completely.
func TestSecretsAreFound(t *testing.T) {
	var c canaries
	for _, secret := range []string{"short", "password", "password 2", "passing by", "other secret"} {
		c.add(secret)
	}
	find := c.finder()
	for text, want := range map[string][]string{
		"":                          nil,
		"short":                     nil,
		"passwor":                   nil,
		"password":                  {"password"},
		"\x00password":              {"password"},
		"a password 2":              {"password", "password 2"},
		"passing b, passing by":     {"passing by"},
		"passpassword, other secre": {"password"},
		"other secretpassing by":    {"other secret", "passing by"},
	} {
		if got := find(text); !slices.Equal(got, want) {
			t.Errorf("%q: found %q, want %q", text, got, want)
		}
	}
}
