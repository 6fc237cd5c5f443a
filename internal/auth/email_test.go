package auth_test

import (
	"strings"
	"testing"

	"github.com/sesame-auth/sesame/internal/auth"
)

func TestNormalizeEmail(t *testing.T) {
	label := strings.Repeat("a", 63)
	longestLocalPart := strings.Repeat("a", 64) + "@example.com"
	longest := "a@" + strings.Repeat(label+".", 3) + strings.Repeat("a", 60)
	for _, text := range []string{
		"Ada@Example.COM", "a@b", "a+b@example.com", "o'neil@example.com", "!#$%&'*+/=?^_`{|}~-@example.com",
		"a.b.c@d-e.f1.org", "ada@xn--exmple-cua.com", longestLocalPart, longest,
	} {
		got, err := auth.NormalizeEmail(text)
		if err != nil || got != strings.ToLower(text) {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
		if again, err := auth.NormalizeEmail(got); err != nil || again != got {
			t.Errorf("%q is not idempotent: got %q, %v", text, again, err)
		}
	}
	for _, text := range []string{
		"", "a", "@", "@b", "a@", "a@b@c", "a@b@", "a b@c", "a@b c", "a@b_c", ".a@b", "a.@b", "a..b@c",
		"a@.b", "a@b.", "a@b..c", "a@-b", "a@b-",
		"a@b\n", "\na@b", "a\x00@b", "a@b\x00", "a@b\xff",
		"Ada <a@b>", "<a@b>", `"a"@b`, "a@[127.0.0.1]", "a(x)@b", "a,b@c", "a;b@c", "a:b@c", `a\b@c`,
		"ａ@b.c", "a@ｂ.c", "\u212A@b.c", "a@b\u3002c", "m\u0131ke@example.com", "\u017Fam@example.com",
		"ada@exämple.com", strings.Repeat("a", 65) + "@b", "a@" + label + "a", longest + "a",
	} {
		if got, err := auth.NormalizeEmail(text); err == nil {
			t.Errorf("%q is accepted as %q", text, got)
		}
	}
}
