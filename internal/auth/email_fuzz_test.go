package auth_test

import (
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
)

// A normalized email is in lower case, and normalizing it again does not change it.
func FuzzNormalizeEmail(f *testing.F) {
	longest := strings.Repeat("a", 64) + "@" + strings.Repeat("b.", 94) + "c"
	for _, seed := range []string{"Ada@Example.com", "a@b", "\u212A@b.c", "a@b\n", longest} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := auth.NormalizeEmail(text)
		if err != nil {
			return
		}
		if again, err := auth.NormalizeEmail(email); err != nil || again != email {
			t.Errorf("%q: normalized to %q, and that to %q, %v", text, email, again, err)
		}
		if !strings.EqualFold(email, text) || strings.ToLower(email) != email ||
			strings.Count(email, "@") != 1 || len(email) > auth.MaxEmailBytes {
			t.Errorf("%q: normalized to %q", text, email)
		}
		for _, r := range email {
			if r <= ' ' || r > '~' {
				t.Errorf("%q contains %q", email, r)
			}
		}
	})
}
