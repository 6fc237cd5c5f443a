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

// The embedded list is what make blocklist made, whole. A new package changes these figures and NOTICE.
func TestListIsWhole(t *testing.T) {
	const entries, chosen, digest = 49193, 17950, "c92d7e1410899724520ca188a9c81c3e310913f9fa31cea0582eb0dd05a16885"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(common))); got != digest {
		t.Errorf("digest %s", got)
	}
	long, previous := 0, ""
	list := slices.Collect(strings.Lines(common))
	for _, line := range list {
		entry, ended := strings.CutSuffix(line, "\n")
		order := cmp.Or(strings.Compare(Canonical(previous), Canonical(entry)), strings.Compare(previous, entry))
		if !ended || Fold(entry) != entry || len(entry) < minCore || len(entry) > longestEntry || order >= 0 {
			t.Errorf("%q is no entry behind %q", line, previous)
		}
		if utf8.RuneCountInString(entry) >= MinLength {
			long++
		}
		previous = entry
	}
	if len(list) != entries || long != chosen {
		t.Errorf("%d entries, %d that are long enough", len(list), long)
	}
}

func TestCommonIsRefused(t *testing.T) {
	list := slices.DeleteFunc(strings.Fields(common), func(entry string) bool { return len(entry) < MinLength })
	for i, entry := range list {
		if i%2 == 0 {
			entry = strings.ToUpper(entry)
		}
		if _, err := Accept(entry); !errors.Is(err, ErrCommon) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	first, last := list[0], list[len(list)-1]
	for password, want := range map[string]error{
		first: ErrCommon, last: ErrCommon, "PassWord": ErrCommon, "ｐａｓｓｗｏｒｄ": ErrCommon,
		"x" + first: nil, first + " x": nil, "asswordpassword": nil, "correct horse battery staple": nil,
	} {
		if _, err := Accept(password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
}

func TestPersonalIsRefused(t *testing.T) {
	context := []string{"Ada King-Lovelace", "Countess.Ada+mail@Analytical.example.co.uk"}
	for password, want := range map[string]error{
		"sesame12": ErrPersonal, "Sesame2026": ErrPersonal, "mySesame": ErrPersonal, "sesamesesame": ErrPersonal, "sesame20261": ErrCommonVariant,
		"lovelac3": ErrCommonVariant, "Lovelace1815": ErrPersonal, "1lovelace!!!": ErrPersonal, "lovelace18151": ErrCommonVariant, "18lovelace151": ErrCommonVariant,
		"lovelace & me": nil, "adalovelace": ErrPersonal, "king-ada": ErrPersonal, "ada ada ada": ErrPersonal, "Ada King-Lovelace": ErrPersonal,
		"ｌｏｖｅｌａｃｅ１８１５": ErrPersonal, "countess1": ErrPersonal, "analytical1": ErrPersonal, "Countess.Ada+mail": ErrPersonal,
		"countess.ada+mail@analytical.example.co.uk": ErrPersonal, "analytical.example.co.uk": ErrPersonal, "Analytical.Example.co.uk": ErrPersonal, "sesame, ada": ErrPersonal,
		"ada sat by the window": nil, "correct horse": nil, "ｶﾞｷﾞｸﾞｹﾞ": nil, // eight, which NFKC makes four
	} {
		if _, err := Accept(password, context...); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
	if _, err := Accept("adalova1", "Ada Adalova"); !errors.Is(err, ErrPersonal) {
		t.Errorf("the longer of two parts: %v", err)
	}
	for _, short := range []string{"", "@", "a@b", "Ab", "\xff", "B of A"} {
		if _, err := Accept("abababofab", short); err != nil {
			t.Errorf("of %q: %v", short, err)
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Accept("correct horse battery staple", "Ada Lovelace", "ada@example.com"); err != nil {
			b.Fatal(err)
		}
	}
}
