package password

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The embedded list is complete, as `make blocklist` generates it. After an update of the npm
// package, change these figures and NOTICE.
func TestListIsComplete(t *testing.T) {
	const (
		entries, longEntries = 49193, 17950
		digest               = "c92d7e1410899724520ca188a9c81c3e310913f9fa31cea0582eb0dd05a16885"
	)
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(common))); got != digest {
		t.Errorf("digest %s", got)
	}
	long, previous := 0, ""
	list := slices.Collect(strings.Lines(common))
	for _, line := range list {
		entry, terminated := strings.CutSuffix(line, "\n")
		order := cmp.Or(strings.Compare(Canonical(previous), Canonical(entry)), strings.Compare(previous, entry))
		if !terminated || Fold(entry) != entry || len(entry) < minCore || len(entry) > longestEntry || order >= 0 {
			t.Errorf("%q, which follows %q, is invalid or not in order", line, previous)
		}
		if utf8.RuneCountInString(entry) >= MinLength {
			long++
		}
		previous = entry
	}
	if len(list) != entries || long != longEntries {
		t.Errorf("%d entries, %d of at least MinLength", len(list), long)
	}
}

func TestCommonIsRefused(t *testing.T) {
	list := slices.DeleteFunc(strings.Fields(common), func(entry string) bool { return len(entry) < MinLength })
	for i, entry := range list {
		if i%2 == 0 {
			entry = strings.ToUpper(entry)
		}
		if _, err := policy.Accept(entry); !errors.Is(err, ErrCommon) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	first, last := list[0], list[len(list)-1]
	for password, want := range map[string]error{
		first: ErrCommon, last: ErrCommon, "PassWord": ErrCommon, "ｐａｓｓｗｏｒｄ": ErrCommon,
		"x" + first: nil, first + " x": nil, "asswordpassword": nil, "correct horse battery staple": nil,
	} {
		if _, err := policy.Accept(password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
}

func TestPersonalIsRefused(t *testing.T) {
	context := []string{"Ada King-Lovelace", "Countess.Ada+mail@Analytical.example.co.uk"}
	for want, passwords := range map[error][]string{
		ErrPersonal: {
			"sesame12", "Sesame2026", "mySesame", "sesamesesame", "sesame, ada",
			"Lovelace1815", "1lovelace!!!", "ｌｏｖｅｌａｃｅ１８１５", "adalovelace",
			"king-ada", "ada ada ada", "Ada King-Lovelace",
			"countess1", "analytical1", "Countess.Ada+mail", "countess.ada+mail@analytical.example.co.uk",
			"analytical.example.co.uk", "Analytical.Example.co.uk",
		},
		ErrCommonVariant: {"sesame20261", "lovelac3", "lovelace18151", "18lovelace151"},
		nil: {
			"lovelace & me", "ada sat by the window", "correct horse",
			"ｶﾞｷﾞｸﾞｹﾞ", // eight code points, which NFKC turns into four
		},
	} {
		for _, password := range passwords {
			if _, err := policy.Accept(password, context...); !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", password, err, want)
			}
		}
	}
	if _, err := policy.Accept("adalova1", "Ada Adalova"); !errors.Is(err, ErrPersonal) {
		t.Errorf("the longer of two overlapping parts: %v", err)
	}
	for _, short := range []string{"", "@", "a@b", "Ab", "\xff", "B of A"} {
		if _, err := policy.Accept("abababofab", short); err != nil {
			t.Errorf("context %q: %v", short, err)
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := policy.Accept("correct horse battery staple", "Ada Lovelace", "ada@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
