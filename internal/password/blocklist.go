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

// common is a list of the most common passwords of at least MinLength code points, folded, one a line: what
// leaks of passwords showed most often (see blocklist/NOTICE).
//
//go:embed blocklist/passwords.txt
var common string

// Fold brings texts that a guesser would not tell apart to one form: without case, and without the variants of
// a letter that Unicode keeps for the sake of older encodings (NFKC), as the full-width ones.
func Fold(text string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(text))) }

// isCommon tells whether a folded password is on the list. Reading it through takes a tenth of a
// millisecond, where a hash takes tens of milliseconds, and nothing is prepared at start.
func isCommon(folded string) bool {
	line := folded + "\n"
	return strings.HasPrefix(common, line) || strings.Contains(common, "\n"+line)
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
