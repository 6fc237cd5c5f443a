package password

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// service is the name of this service, which no password may consist of.
const service = "sesame"

// common is the list of the most common leaked passwords (see blocklist/NOTICE): folded, one per
// line, sorted by canonical form. isVariant needs the entries shorter than MinLength. The list is
// searched in place, so it needs no preparation at start and uses no heap.
//
//go:embed blocklist/passwords.txt
var common string

// Fold returns text in lower case and without compatibility variants of characters, such as
// full-width letters (NFKC). Two texts that fold to the same form are equally easy to guess.
func Fold(text string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(text))) }

// isCommon reports whether a folded password is on the list.
func isCommon(folded string) bool {
	canonical := Canonical(folded)
	for line := range strings.Lines(listFrom(canonical)) {
		switch entry := strings.TrimSuffix(line, "\n"); {
		case entry == folded:
			return true
		case Canonical(entry) != canonical:
			return false
		}
	}
	return false
}

// listFrom returns the rest of the list, from the first entry whose canonical form is not less than
// canonical.
func listFrom(canonical string) string {
	from, to := 0, len(common) // where lines begin
	for from < to {
		begin := strings.LastIndexByte(common[:(from+to)/2], '\n') + 1
		entry, _, _ := strings.Cut(common[begin:], "\n")
		if Canonical(entry) < canonical {
			from = begin + len(entry) + 1
		} else {
			to = begin
		}
	}
	return common[from:]
}

const (
	// minPart is the length of the shortest part that isPersonal looks for, in code points. It finds
	// "Ada", but not "of".
	minPart = 3
	// maxOther is how many other code points a personal password can have: a year, or two digits and
	// two symbols.
	maxOther = 4
)

// isPersonal reports whether a folded password consists of personal parts and at most maxOther
// other code points. Personal parts are the name of the service and, for each text of context, the
// whole text, what is before and after its @, and each of its words. All occurrences are removed,
// longer parts first.
func isPersonal(folded string, context []string) bool {
	left := folded
	for _, part := range parts(context) {
		left = strings.ReplaceAll(left, part, "")
	}
	return left != folded && utf8.RuneCountInString(left) <= maxOther
}

// parts returns the parts that isPersonal removes, in the order in which it removes them.
func parts(context []string) []string {
	found := []string{service}
	isSeparator := func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) }
	for _, text := range context {
		text = Fold(text)
		local, domain, _ := strings.Cut(text, "@")
		found = append(found, text, local, domain)
		found = append(found, strings.FieldsFunc(text, isSeparator)...)
	}
	found = slices.DeleteFunc(found, func(part string) bool { return utf8.RuneCountInString(part) < minPart })
	slices.SortStableFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}
