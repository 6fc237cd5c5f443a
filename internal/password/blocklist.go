package password

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// service is a word that everybody thinks of here.
const service = "sesame"

// common is a list of the most common passwords, folded, one a line, in the order of their canonical forms: what
// leaks of passwords showed most often (see blocklist/NOTICE). Those shorter than MinLength are there for isVariant.
// It is searched as it lies in the binary: nothing is prepared at start, and nothing of it is on the heap.
//
//go:embed blocklist/passwords.txt
var common string

// Fold brings texts that a guesser would not tell apart to one form: without case, and without the variants of
// a letter that Unicode keeps for the sake of older encodings (NFKC), as the full-width ones.
func Fold(text string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(text))) }

// isCommon tells whether a folded password is on the list.
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

// listFrom is the list from the first entry on whose canonical form is not before this one.
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
	// minPart is the shortest part of a name that says whose it is, in code points: Ada, but not of.
	minPart = 3
	// maxBesideParts is how many code points beside such parts a guesser tries: a year, or two and a pair of
	// signs.
	maxBesideParts = 4
)

// isPersonal tells whether a folded password consists of what is known about its owner and of little else.
// Known are the name of the service and the texts of context: each as a whole, what stands before and behind its @,
// and each of its words. Every occurrence of these is taken out, longer ones first.
func isPersonal(folded string, context []string) bool {
	left := folded
	for _, part := range parts(context) {
		left = strings.ReplaceAll(left, part, "")
	}
	return left != folded && utf8.RuneCountInString(left) <= maxBesideParts
}

// parts is what isPersonal takes out, in its order.
func parts(context []string) []string {
	found := []string{service}
	for _, text := range context {
		text = Fold(text)
		local, domain, _ := strings.Cut(text, "@")
		found = append(found, text, local, domain)
		found = append(found, strings.FieldsFunc(text, func(r rune) bool { return !unicode.In(r, unicode.L, unicode.M, unicode.N) })...)
	}
	found = slices.DeleteFunc(found, func(part string) bool { return utf8.RuneCountInString(part) < minPart })
	slices.SortStableFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}
