package password

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Password crackers first try the common passwords, and then the same with a few typical changes.
// These limits define which changes count as typical.
const (
	// minCore is the minimum length, in bytes, of the core of a password: what is left of it without
	// additions.
	minCore = 4
	// maxAdded is the maximum number of digits and symbols added to a core, in front and at the end
	// together: a year and two symbols, or 123456.
	maxAdded = 6
	// maxAddedToDigits is the maximum number of letters and symbols added to a core of digits:
	// a123456, 123456abc.
	maxAddedToDigits = 3
	// maxCycle is the maximum length, in code points, of a text that must not be repeated even if it
	// is not on the list: aaaaaaaa, abcabcabc.
	maxCycle = 3
	// longestEntry is the length of the longest entry of the list, in bytes.
	longestEntry = 20
)

// substitutes replaces characters that look like a letter by that letter. Some look like two
// letters, i and l, so l becomes i, too.
var substitutes = strings.NewReplacer(
	"4", "a", "@", "a",
	"3", "e",
	"1", "i", "!", "i", "|", "i", "l", "i",
	"0", "o",
	"5", "s", "$", "s",
	"7", "t",
)

// Canonical returns the canonical form of a folded text: with letters in place of the characters
// that look like them. It has the same length.
func Canonical(folded string) string { return substitutes.Replace(folded) }

// isVariant reports whether a folded password is a variant of a common one. That is an entry of the
// list in reverse, or an entry, possibly repeated, with substituted letters and a few additions.
// Letters are no addition to an entry that has letters, so two common words together are accepted.
func isVariant(folded string) bool {
	canonical := Canonical(folded)
	if isEntry(reverse(canonical)) {
		return true
	}
	for front := range maxAdded + 1 {
		for back := range maxAdded + 1 - front {
			end := len(folded) - back
			if end-front < minCore {
				break
			}
			if !isAddition(folded[:front]+folded[end:], folded[front:end]) {
				continue
			}
			if core := canonical[front:end]; isEntry(core) || isRepeated(core) {
				return true
			}
		}
	}
	return false
}

// isAddition reports whether added is a typical addition to core: not letters if core has letters,
// and not digits if it has none. So that random characters are not mistaken for a word, at least
// half of a core with letters must be letters, and added may be at most one byte longer than the
// core (a short word with a year and a symbol).
func isAddition(added, core string) bool {
	letters, _ := count(core)
	addedLetters, addedDigits := count(added)
	switch {
	case added == "":
		return true
	case letters == 0:
		return addedDigits == 0 && utf8.RuneCountInString(added) <= maxAddedToDigits
	default:
		return addedLetters == 0 && 2*letters >= len(core) && len(added) <= len(core)+1
	}
}

// count returns the number of letters and digits of a folded text, in bytes. Bytes that are not
// ASCII count as letters.
func count(folded string) (letters, digits int) {
	for i := range len(folded) {
		switch c := folded[i]; {
		case c >= 'a' && c <= 'z' || c >= utf8.RuneSelf:
			letters++
		case c >= '0' && c <= '9':
			digits++
		}
	}
	return letters, digits
}

// isEntry reports whether the list has an entry with this canonical form.
func isEntry(canonical string) bool {
	entry, _, _ := strings.Cut(listFrom(canonical), "\n")
	return Canonical(entry) == canonical
}

// reverse returns text with its bytes in reverse order. That breaks other characters than ASCII,
// but the list has none.
func reverse(text string) string {
	reversed := []byte(text)
	slices.Reverse(reversed)
	return string(reversed)
}

// isRepeated reports whether a canonical text repeats an entry, or a text of up to maxCycle code
// points, at least twice. The last repetition may be incomplete.
func isRepeated(canonical string) bool {
	for cycle := 1; cycle <= min(longestEntry, len(canonical)/2); cycle++ {
		if strings.HasPrefix(canonical, canonical[cycle:]) &&
			(utf8.RuneCountInString(canonical[:cycle]) <= maxCycle || isEntry(canonical[:cycle])) {
			return true
		}
	}
	return false
}
