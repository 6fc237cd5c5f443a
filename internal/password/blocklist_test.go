package password

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// The embedded list is what make blocklist made, whole. A new package changes these figures and NOTICE.
func TestListIsWhole(t *testing.T) {
	const entries, digest = 17950, "798f6256117027971edc571c1628d52081a43b835ed0169f9298a6f4be4bb67d"
	if got := fmt.Sprintf("%x", sha256.Sum256([]byte(common))); got != digest {
		t.Errorf("digest %s", got)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(common) {
		entry, ended := strings.CutSuffix(line, "\n")
		if !ended || Fold(entry) != entry || utf8.RuneCountInString(entry) < MinLength || seen[entry] {
			t.Errorf("%q is no entry", line)
		}
		seen[entry] = true
	}
	if len(seen) != entries {
		t.Errorf("%d entries", len(seen))
	}
}

func TestCommonIsRefused(t *testing.T) {
	i := 0
	for line := range strings.Lines(common) {
		entry := strings.TrimSuffix(line, "\n")
		if i++; i%2 == 0 {
			entry = strings.ToUpper(entry)
		}
		if _, err := Accept(entry); !errors.Is(err, ErrCommon) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	entries := strings.Fields(common)
	first, last := entries[0], entries[len(entries)-1]
	for password, want := range map[string]error{
		first: ErrCommon, last: ErrCommon, "PassWord": ErrCommon, "ｐａｓｓｗｏｒｄ": ErrCommon,
		"x" + first: nil, first + " x": nil, " " + last: nil, "asswordpassword": nil, "correct horse battery staple": nil,
	} {
		if _, err := Accept(password); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", password, err, want)
		}
	}
}

func TestPersonalIsRefused(t *testing.T) {
	context := []string{"Ada King-Lovelace", "Countess.Ada+mail@Analytical.example.co.uk"}
	for password, want := range map[string]error{
		"sesame12": ErrPersonal, "Sesame2026": ErrPersonal, "mySesame": ErrPersonal, "sesamesesame": ErrPersonal, "sesame20261": nil,
		"lovelac3": nil, "Lovelace1815": ErrPersonal, "1lovelace!!!": ErrPersonal, "lovelace18151": nil, "18lovelace151": nil,
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
