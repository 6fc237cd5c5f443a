package auth_test

import (
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
)

// What is taken for an address is one text in lower case, which is taken for itself.
func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{"Ada@Example.com", "a@b", "\u212A@b.c", "a@b\n", strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 94) + "c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, err := auth.NormalizeEmail(text)
		if err != nil {
			return
		}
		if again, err := auth.NormalizeEmail(address); err != nil || again != address {
			t.Errorf("%q becomes %q, and that %q, %v", text, address, again, err)
		}
		if !strings.EqualFold(address, text) || strings.ToLower(address) != address || strings.Count(address, "@") != 1 || len(address) > auth.MaxEmailBytes {
			t.Errorf("%q becomes %q", text, address)
		}
		for _, r := range address {
			if r <= ' ' || r > '~' {
				t.Errorf("%q holds %q", address, r)
			}
		}
	})
}
