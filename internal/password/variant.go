package password

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// What programs that guess try right after the common passwords themselves: these with a few usual changes.
const (
	// minCore is the shortest text that is looked for inside a password, in bytes.
	minCore = 4
	// maxAdded is how many digits and signs, before and behind together, are taken away: a year and a pair of
	// signs, or 123456.
	maxAdded = 6
	// maxAddedToDigits is how many letters and signs are taken away from digits: a123456, 123456abc.
	maxAddedToDigits = 3
	// maxCycle is how many code points are too few to be repeated, whichever they are: aaaaaaaa, abcabcabc.
	maxCycle = 3
	// longestEntry is the list's, in bytes.
	longestEntry = 20
)

// substitutes are what is typed for a letter because it looks like it. What stands for two letters makes them one.
var substitutes = strings.NewReplacer("4", "a", "@", "a", "3", "e", "1", "i", "!", "i", "|", "i", "l", "i", "0", "o", "5", "s", "$", "s", "7", "t")

// Canonical brings folded texts that differ by such substitutes only to one form, of the same length.
func Canonical(folded string) string { return substitutes.Replace(folded) }

// isVariant tells whether a folded password is an entry of the list reversed, or, but for what is usually added, an
// entry with letters swapped or repeated. Letters beside an entry of letters are no addition: so two words are not
// refused, however common.
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

// isAddition tells whether what stands beside core is a usual addition to it: anything but letters to letters,
// anything but digits to digits. A core with letters is half of letters at least, and is no shorter than its addition
// but by one, a short word with a year and a sign: so random characters are not read as a word.
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

// count counts the bytes of letters and the digits of a folded text. What is not ASCII counts as letters.
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

// isEntry tells whether the list has an entry of that canonical form.
func isEntry(canonical string) bool {
	entry, _, _ := strings.Cut(listFrom(canonical), "\n")
	return Canonical(entry) == canonical
}

// reverse is the text from its end. The list is in ASCII: what becomes of other characters is on no list.
func reverse(text string) string {
	reversed := []byte(text)
	slices.Reverse(reversed)
	return string(reversed)
}

// isRepeated tells whether a canonical text is an entry, or up to maxCycle code points, twice or more. Behind the
// second, one may be cut off.
func isRepeated(canonical string) bool {
	for cycle := 1; cycle <= min(longestEntry, len(canonical)/2); cycle++ {
		if strings.HasPrefix(canonical, canonical[cycle:]) &&
			(utf8.RuneCountInString(canonical[:cycle]) <= maxCycle || isEntry(canonical[:cycle])) {
			return true
		}
	}
	return false
}
