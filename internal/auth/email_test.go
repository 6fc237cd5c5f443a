package auth_test

import (
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
)

func TestNormalizeEmail(t *testing.T) {
	label := strings.Repeat("a", 63)
	for text, want := range map[string]string{
		"Ada@Example.COM": "ada@example.com", "a@b": "a@b", "a+b@example.com": "a+b@example.com", "o'neil@example.com": "o'neil@example.com",
		"!#$%&'*+/=?^_`{|}~-@example.com": "!#$%&'*+/=?^_`{|}~-@example.com", "a.b.c@d-e.f1.org": "a.b.c@d-e.f1.org", "ada@xn--exmple-cua.com": "ada@xn--exmple-cua.com",
		strings.Repeat("a", 64) + "@example.com":                      strings.Repeat("a", 64) + "@example.com",
		"a@" + strings.Repeat(label+".", 3) + strings.Repeat("a", 60): "a@" + strings.Repeat(label+".", 3) + strings.Repeat("a", 60),
	} {
		got, err := auth.NormalizeEmail(text)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if again, err := auth.NormalizeEmail(got); err != nil || again != got {
			t.Errorf("%q is not idempotent: %q, %v", text, again, err)
		}
	}
	for _, text := range []string{
		"", "a", "@", "@b", "a@", "a@b@c", "a@b@", "a b@c", "a@b c", "a@b_c", ".a@b", "a.@b", "a..b@c", "a@.b", "a@b.", "a@b..c", "a@-b", "a@b-",
		"a@b\n", "\na@b", "a\x00@b", "a@b\x00", "Ada <a@b>", "<a@b>", `"a"@b`, "a@[127.0.0.1]", "a(x)@b", "a,b@c", "a;b@c", "a:b@c", `a\b@c`,
		"ａ@b.c", "a@ｂ.c", "\u212A@b.c", "a@b\u3002c", "m\u0131ke@example.com", "\u017Fam@example.com", "ada@exämple.com", "a@b\xff",
		strings.Repeat("a", 65) + "@b", "a@" + label + "a", "a@" + strings.Repeat(label+".", 3) + strings.Repeat("a", 61),
	} {
		if got, err := auth.NormalizeEmail(text); err == nil {
			t.Errorf("%q is taken for %q", text, got)
		}
	}
}
